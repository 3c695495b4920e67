"""What a fingerprint is made of, and how near two of them must be for their losses to be called one.

A fingerprint holds one block for each strength of the reference and each magnitude of the margins, in that order: the
gradient with respect to every policy input of a fixed batch, at unit length, and two marks, one of which is 1 instead
where the gradient is zero or not finite. It is stored as little-endian float16.
"""

VERSION = 2
"""Fingerprints of different versions come from different batches and cannot be compared."""

REFERENCE_BETA = 0.5
MAGNITUDES = (0.2, 1.0, 2.0, 5.0)
"""Standard deviations of beta times the margin, at the reference beta. The first sees what a loss does as training
starts; exp and CELL differ most at 1."""
PROGRESS = (0.5, 0.0, 1.0, 0.1)
"""Of the batch of each magnitude, far apart between neighbours: no one shift of beta makes up for a schedule."""

MAX_SHIFT = 8
"""A loss is found again at up to 16 times its beta, and down to a 16th. Beyond, its beta would be no useful one."""
WINDOW = 5
"""Two losses are compared at this many neighbouring betas at least: they have to agree over a sweep."""
_REACH = MAX_SHIFT + WINDOW // 2
BETAS = tuple(REFERENCE_BETA * 2 ** (step / 2) for step in range(-_REACH, _REACH + 1))
"""Half an octave apart: a beta between two of them still finds its twin."""

TWIN_COSINE = 0.995
"""Above it, on every magnitude at some one shift of beta, two losses are the same."""
NEAR_COSINE = 0.95
