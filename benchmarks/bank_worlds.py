"""The arenas of the bank as campaigns are drawn from them."""

from collections.abc import Sequence

from benchmarks.bank_file import Bank, Cell
from benchmarks.bank_plan import CONFIRM, DPO, LIBRARY, LIBRARY_DRAWS, PROPOSED, SALTS, SCREEN, TUNE, Place, has_winner
from benchmarks.planted import PLANTED
from benchmarks.redrawn import Entry, Values, World
from discovery_service.domain.differences import Occasion, Variance, find_differences, find_whole, pool_variance
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.screening import find_usual_sd, fit_spread

PLACES: tuple[Place, ...] = (*CONFIRM, *TUNE, *SCREEN)


def open_world(bank: Bank, arena: str) -> World:
    """NotInBank where some training of it is missing."""
    losses = (*((PLANTED,) if has_winner(arena) else ()), *PROPOSED)
    confirm: dict[int, list[int]] = {}
    for number, (policy, _) in enumerate(CONFIRM):
        confirm.setdefault(policy, []).append(number)
    first_screen, variances = len(CONFIRM) + len(TUNE), find_variances(bank, arena)
    return World(
        arena=arena,
        spread=fit_spread(variances),
        sd=find_usual_sd(variances),
        reference=_make_entry(bank, arena, DPO, ("", *SALTS)),
        entries={loss: _make_entry(bank, arena, loss, ("",)) for loss in losses},
        tune=range(len(CONFIRM), first_screen),
        screen=range(first_screen, len(PLACES)),
        confirm=confirm,
    )


def _make_entry(bank: Bank, arena: str, loss: str, salts: Sequence[str]) -> Entry:
    settings = bank.get_tuned(arena, loss).finalists

    def take(salt: str) -> list[Values]:
        salted = [(policy, Draw(draw.purpose, draw.key, salt)) for policy, draw in PLACES]
        return [tuple(bank.get(Cell(arena, loss, each, *place)).j for each in settings) for place in salted]

    return Entry(settings, tuple(take(salt) for salt in salts))


def find_variances(bank: Bank, arena: str) -> list[Variance]:
    """Of the library's differences to DPO on fresh draws, each loss at its best, as a calibration takes them."""
    reference = find_library(bank, arena, DPO)
    assert reference is not None
    others = (find_library(bank, arena, loss) for loss in LIBRARY if loss != DPO)
    return [pool_variance(find_differences(each, reference)) for each in others if each is not None]


def find_library(bank: Bank, arena: str, loss: str) -> dict[Occasion, float] | None:
    """J at its best on the library's fresh draws; None of a loss that failed on some draw, or in all of tuning."""
    chosen = bank.get_tuned(arena, loss).chosen
    if chosen is None:
        return None
    return find_values(bank, arena, loss, chosen, CONFIRM[:LIBRARY_DRAWS])


def find_values(
    bank: Bank, arena: str, loss: str, setting: Setting, places: Sequence[Place]
) -> dict[Occasion, float] | None:
    return find_whole(
        {Occasion(policy, draw.key): bank.get(Cell(arena, loss, setting, policy, draw)).j for policy, draw in places}
    )
