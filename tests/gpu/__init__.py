"""What holds on a card: `python -m tests.gpu`."""
