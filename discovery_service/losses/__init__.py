"""The loss contract as text and data: what a candidate may be, what becomes of it, and the losses that are known."""
