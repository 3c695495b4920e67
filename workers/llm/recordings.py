"""Replies of a large language model in three campaigns of four rounds of three, on prototypes of built-in arenas.

They were kept with what the prototype measured of each loss (`result_then`), which is not quoted anywhere: the best of
twelve on the draws on which they were chosen. One of them is invalid JSON and stays so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("recorded_replies.jsonl")
ROUND_SIZE = 3


@dataclass(frozen=True)
class Recording:
    arena: str
    """Its kind, such as "terse"; the size does not matter."""
    round: int
    slot: int
    """Both from 1 on, in the campaign that was recorded."""
    name: str
    reply: str


@lru_cache(maxsize=1)
def list_recordings() -> tuple[Recording, ...]:
    rows = map(json.loads, FILE.read_text(encoding="utf-8").splitlines())
    return tuple(Recording(row["campaign"], row["round"], row["slot"], row["name"], row["reply"]) for row in rows)


def find_recording(arena: str, round_number: int, slot: int) -> Recording | None:
    """The reply that was given there and then."""
    place = (arena, round_number, slot)
    return next((each for each in list_recordings() if (each.arena, each.round, each.slot) == place), None)


def metadata_of(number: int, turn: int = 0) -> Mapping[str, str]:
    """What the question for a campaign's recorded proposal says, the first one being number 0.

    A campaign gives its recorded proposals their numbers in the order of rounds and slots, whatever its round size and
    its other proposers: so the replies come in the order in which they were given, each knowing the results of those
    before it, and each once. Where the recording has ended, the endpoint says so.
    """
    round_before, slot_before = divmod(number, ROUND_SIZE)
    return {"round": str(round_before + 1), "slot": str(slot_before + 1), "turn": str(turn)}
