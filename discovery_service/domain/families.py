"""The loss families: which data regime a loss is for. Their named inputs join with the gate."""

from enum import StrEnum


class Family(StrEnum):
    PAIRWISE = "pairwise"
    AUXILIARY = "auxiliary"
    OUTCOME = "outcome"
    MATCHING = "matching"


PAIRS = (Family.PAIRWISE, Family.AUXILIARY)
"""Whose rows are two answers, one of them preferred: their losses have a margin."""
