"""`discovery try`: a loss and DPO in TRL's trainer, on a user's own model and preferences, with the same effort."""
