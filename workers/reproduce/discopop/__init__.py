"""DiscoPOP's paper: losses that a language model has proposed, and whether they are better than the usual ones."""
