"""What a fingerprint is made of, and how near two of them must be for their losses to be called one.

A fingerprint holds one block for each strength of the reference and each pair of a magnitude of the margins and a
progress, in that order: the gradient with respect to every policy input of two fixed batches, together at unit length,
and two marks, one of which is 1 instead where the gradient is zero or not finite. It is stored as little-endian
float16.
"""

from collections.abc import Mapping

from discovery_service.domain.families import Family

VERSION = 3
"""Fingerprints of different versions come from different batches and cannot be compared."""

REFERENCE_BETA = 0.5
MAGNITUDES = (0.2, 1.0, 2.0, 5.0, 0.2, 1.0, 2.0, 5.0)
"""Standard deviations of beta times the margin, at the reference beta. The first sees what a loss does as training
starts; exp and CELL differ most at 1."""
PROGRESS = (0.5, 0.0, 1.0, 0.1, 0.85, 0.35, 0.2, 0.65)
"""Of the batches of each magnitude, far apart between neighbours: no one shift of beta makes up for a schedule."""

MAX_SHIFT = 8
"""A loss is found again at up to 16 times its beta, and down to a 16th. Beyond, its beta would be no useful one."""
WINDOW = 5
"""Two losses are compared at this many neighbouring betas at least: they have to agree over a sweep."""
WIDEST = 16.0
"""Of the standard deviations of beta times the margin, where more betas than those are compared: wider margins lie
outside the range in which a loss has to work, and an exponential one overflows there."""
_REACH = MAX_SHIFT + WINDOW // 2
BETAS = tuple(REFERENCE_BETA * 2 ** (step / 2) for step in range(-_REACH, _REACH + 1))
"""Half an octave apart: a beta between two of them still finds its twin."""

ENTRIES: Mapping[Family, int] = {
    Family.PAIRWISE: 66,
    Family.AUXILIARY: 66,
    Family.OUTCOME: 66,
    Family.MATCHING: 98,
}
"""Of one block: two policy inputs of 2 times 16 rows, or 2 times 8 answers of 6 tokens, and the marks."""

TWIN_COSINE = 0.995
"""Above it, on every magnitude at some one shift of beta, two losses are the same."""
NEAR_COSINE = 0.95


def tell_beta(shift: float, beta: float | None) -> str:
    """Where a loss is like another one: at what times its beta, or, having none of its own, at which of the other's."""
    return f"at {shift:.3g} times its beta" if beta is None else f"at beta {beta:.3g}"
