"""The sign estimator's paper: annotators who differ, and whose direction comes out."""
