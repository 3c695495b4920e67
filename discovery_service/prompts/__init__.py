"""What is said to a language model, and what is read from its replies."""
