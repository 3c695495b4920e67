"""The built-in arenas as data: what each world is, and which ways to beat DPO it offers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from discovery_service.domain.families import Family


class ArenaSize(StrEnum):
    MINI = "mini"
    BASE = "base"


class WayToWin(StrEnum):
    """With Bradley-Terry labels and unlimited data DPO is optimal; a loss can win only through one of these."""

    LABEL_NOISE = "label noise"
    DIFFERING_ANNOTATORS = "annotators that differ"
    OTHER_MOTIVE = "annotators that see something else than quality"


@dataclass(frozen=True)
class ArenaSpec:
    name: str
    family: Family
    summary: str
    offers: tuple[WayToWin, ...]

    @property
    def is_control(self) -> bool:
        """Whether the right verdict here is "not distinguishable from DPO"."""
        return not self.offers


_ARENAS = (
    ArenaSpec(
        "plain",
        Family.PAIRWISE,
        "Clean Bradley-Terry labels on texts of varying length.",
        (),
    ),
    ArenaSpec(
        "flips",
        Family.PAIRWISE,
        "Three labels in ten are flipped, which a tuned beta absorbs.",
        (),
    ),
    ArenaSpec(
        "terse",
        Family.PAIRWISE,
        "Annotators prefer the shorter answer beside the better one.",
        (WayToWin.OTHER_MOTIVE,),
    ),
    ArenaSpec(
        "panel",
        Family.PAIRWISE,
        "Half the rows come from an annotator whose labels are coins; the loss is told who labelled.",
        (WayToWin.LABEL_NOISE, WayToWin.DIFFERING_ANNOTATORS),
    ),
    ArenaSpec(
        "fog",
        Family.PAIRWISE,
        "The label turns into a coin where the answers differ much in fluency.",
        (WayToWin.LABEL_NOISE,),
    ),
    ArenaSpec(
        "fluent",
        Family.PAIRWISE,
        "Annotators prefer what the base policy finds likely.",
        (WayToWin.OTHER_MOTIVE,),
    ),
)

ARENAS: Mapping[str, ArenaSpec] = {arena.name: arena for arena in _ARENAS}


def find_arena(name: str) -> ArenaSpec | None:
    """The built-in arena of `NAME:SIZE`, or None."""
    base, _, size = name.partition(":")
    return ARENAS.get(base) if size in set(ArenaSize) else None


def arena_names(family: Family | None = None) -> list[str]:
    """Every `NAME:SIZE` that a campaign of the family may name."""
    return [f"{arena.name}:{size}" for arena in _ARENAS for size in ArenaSize if family in (None, arena.family)]
