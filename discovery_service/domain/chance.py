"""Where a search has its chance from: the campaign's seed, the round, the slot, and what it is for."""

import hashlib
import json
from random import Random


def draw_chance(seed: int, round_index: int, slot: int, what: str) -> Random:
    """A generator of its own for every purpose, so that one more draw for the one changes nothing for another."""
    digest = hashlib.sha256(json.dumps([seed, round_index, slot, what]).encode()).digest()
    return Random(int.from_bytes(digest[:16], "big"))  # noqa: S311 (a search, not a secret)
