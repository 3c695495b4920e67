"""The way from a candidate's source to a verdict, outside the jail."""
