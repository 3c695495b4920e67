"""Which trainings the bank is made of: losses, arenas, and draws in parts that a re-drawn campaign keeps apart.

All of size mini. Every loss is tuned by the arena's plan on its tune draws; what is drawn from is of the purpose
`calibrate`, on which no campaign trains.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from benchmarks.bank_file import Cell, Tuned
from benchmarks.planted import PLANTED, WINNERS, list_variants
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES, REFERENCE_LOSSES
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.power import POLICIES
from discovery_service.domain.states import Purpose


class Phase(StrEnum):
    """In the order in which they are measured."""

    LIBRARY = "library"
    """The whole library and the planted winner, each at its best on fresh draws."""
    TRUTH = "truth"
    """Some of them at both settings between which the last stage of tuning chose, on every part."""
    PLACEBO = "placebo"
    """DPO the same way, with other pairs, labels and order."""
    DECIDE = "decide"
    """Library, planted winner and variants of it at every setting that was tried."""


MAIN = tuple(f"{name}:mini" for name in ("plain", "flips", "terse", "panel", "fog", "fluent"))
CONTROLS = MAIN[:2]
WITH_WINNER = MAIN[2:]
DECIDED = "terse:mini"
LIBRARY = KNOWN_LOSSES[Family.PAIRWISE]
DPO = REFERENCE_LOSSES[Family.PAIRWISE]
PROPOSED = ("ipo", "slic", "cdpo", "exp", "simpo", "length_dpo")
"""Beside the planted winner: the best classical ones of the prototype, and two that know of lengths."""
SALTS = ("1", "2")
LIBRARY_DRAWS = 12
Place = tuple[int, Draw]
"""A draw and the base policy under which it is made."""


class Unit(NamedTuple):
    """What one process measures in one go."""

    phase: Phase
    arena: str
    loss: str


def _fresh(number: int) -> Place:
    return number % POLICIES, Draw(Purpose.CALIBRATE, str(number))


def _under_first(part: str, count: int) -> tuple[Place, ...]:
    return tuple((0, Draw(Purpose.CALIBRATE, f"{part} {number}")) for number in range(count))


CONFIRM = tuple(_fresh(number) for number in range(30))
"""Its first twelve are those of the library."""
TUNE, SCREEN = _under_first("tune", 6), _under_first("screen", 6)
DECIDE = _under_first("decide", 12)


def has_winner(arena: str) -> bool:
    return arena.partition(":")[0].partition("-")[0] in WINNERS


def list_units() -> Iterator[Unit]:
    def winner(arena: str) -> tuple[str, ...]:
        return (PLANTED,) if has_winner(arena) else ()

    for phase in Phase:
        if phase is Phase.PLACEBO:
            yield from (Unit(phase, arena, DPO) for arena in MAIN)
        elif phase is Phase.DECIDE:
            yield from (Unit(phase, DECIDED, loss) for loss in list_decided())
        else:
            losses = LIBRARY if phase is Phase.LIBRARY else TRUTH_LOSSES
            yield from (Unit(phase, arena, loss) for arena in MAIN for loss in (*winner(arena), *losses))


TRUTH_LOSSES = (DPO, *PROPOSED)


def list_decided() -> tuple[str, ...]:
    """36 losses."""
    return (PLANTED, *LIBRARY, *list_variants())


def list_cells(unit: Unit, tuned: Tuned) -> Iterator[Cell]:
    """What is measured of a loss once it is tuned."""
    phase, arena, loss = unit

    def at(setting: Setting, places: tuple[Place, ...], salt: str = "") -> Iterator[Cell]:
        for policy, draw in places:
            yield Cell(arena, loss, setting, policy, Draw(draw.purpose, draw.key, salt))

    if phase is Phase.LIBRARY:
        if tuned.chosen is not None:
            yield from at(tuned.chosen, CONFIRM[:LIBRARY_DRAWS])
        return
    if phase is Phase.DECIDE:
        for setting in tuned.curve:
            yield from at(setting, DECIDE)
        return
    for salt in SALTS if phase is Phase.PLACEBO else ("",):
        for setting in tuned.finalists:
            yield from at(setting, (*CONFIRM, *TUNE, *SCREEN), salt)
