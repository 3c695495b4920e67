"""The bank in its file: trainings that were really made, from which campaigns are drawn anew without torch.

One compressed JSON document, the same bytes for the same trainings. Of each it has J to six digits, or why it failed,
and the processor's seconds.
"""

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose

SHIPPED = Path(__file__).parent / "data" / "bank.json.gz"
DIGITS = 6


class Cell(NamedTuple):
    """Which training it was."""

    arena: str
    loss: str
    setting: Setting
    base_policy: int
    draw: Draw


class Outcome(NamedTuple):
    j: float | None
    """None where the training failed, by the loss's doing."""
    seconds: float
    """Of a core, in training and measuring; the pairs lay in the cache."""
    reason: str | None = None
    """Of a failure, as whoever wrote the loss is told."""


@dataclass(frozen=True)
class Tuned:
    """What the plan made of a loss on the arena's own tune draws."""

    curve: tuple[Setting, ...]
    """What was tried on the first one."""
    finalists: tuple[Setting, ...]
    """What went on to the others, the better one first."""
    chosen: Setting | None
    """None where every training failed."""
    graph_sha256: str


class NotInBank(LookupError):
    """What is asked for was not measured, or not yet."""


@dataclass(frozen=True)
class Bank:
    about: Mapping[str, Any]
    """The command that made it, the build that computed it, the arenas by content."""
    tuned: Mapping[tuple[str, str], Tuned]
    """By arena and loss."""
    outcomes: Mapping[Cell, Outcome]

    def get(self, cell: Cell) -> Outcome:
        try:
            return self.outcomes[cell]
        except KeyError:
            draw = f"{cell.draw.purpose} {cell.draw.key}" + f", salt {cell.draw.salt}" * bool(cell.draw.salt)
            raise NotInBank(f"The bank has no training of {cell.loss} in {cell.arena} on the draw {draw}.") from None

    def get_tuned(self, arena: str, loss: str) -> Tuned:
        try:
            return self.tuned[arena, loss]
        except KeyError:
            raise NotInBank(f"The bank has no tuned {loss} in {arena}.") from None


def write_bank(bank: Bank, path: Path) -> None:
    """Without the time of day, so that the same trainings give the same bytes."""
    text = json.dumps(_describe(bank), sort_keys=True, separators=(",", ":"), allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def read_bank(path: Path = SHIPPED) -> Bank:
    if not path.exists():
        raise SystemExit(f"There is no bank at {path}: python -m benchmarks.bank measures one, in hours of a core.")
    document = json.loads(gzip.decompress(path.read_bytes()))
    settings = [Setting(*each) for each in document["settings"]]
    draws = [(policy, Draw(Purpose(purpose), key, salt)) for policy, purpose, key, salt in document["draws"]]
    outcomes = {}
    for row in document["trainings"]:
        reasons = {int(place): reason for place, reason in row["failures"].items()}
        for place, (number, j, seconds) in enumerate(zip(row["draws"], row["j"], row["seconds"], strict=True)):
            cell = Cell(row["arena"], row["loss"], settings[row["setting"]], *draws[number])
            outcomes[cell] = Outcome(j, seconds, reasons.get(place))
    tuned = {(each["arena"], each["loss"]): _read_tuned(each, settings) for each in document["tuned"]}
    return Bank(document["about"], tuned, outcomes)


def _read_tuned(row: Mapping[str, Any], settings: list[Setting]) -> Tuned:
    return Tuned(
        tuple(settings[each] for each in row["curve"]),
        tuple(settings[each] for each in row["finalists"]),
        None if row["chosen"] is None else settings[row["chosen"]],
        row["graph_sha256"],
    )


def _describe(bank: Bank) -> dict[str, Any]:
    settings = _number(
        [*(each for tuned in bank.tuned.values() for each in tuned.curve), *(cell.setting for cell in bank.outcomes)],
        key=lambda each: (each.learning_rate, each.steps, each.beta),
    )
    draws = _number(((cell.base_policy, cell.draw) for cell in bank.outcomes), key=_order_draw)
    rows: dict[tuple[str, str, int], dict[int, Outcome]] = {}
    for cell, outcome in bank.outcomes.items():
        row = rows.setdefault((cell.arena, cell.loss, settings[cell.setting]), {})
        row[draws[cell.base_policy, cell.draw]] = outcome
    return {
        "about": dict(bank.about),
        "settings": [[each.beta, each.learning_rate, each.steps] for each in settings],
        "draws": [[policy, draw.purpose.value, draw.key, draw.salt] for policy, draw in draws],
        "tuned": [_describe_tuned(*names, tuned, settings) for names, tuned in sorted(bank.tuned.items())],
        "trainings": [_describe_row(*which, rows[which]) for which in sorted(rows)],
    }


def _number(things: Iterable[Any], key: Any) -> dict[Any, int]:
    return {each: number for number, each in enumerate(sorted(set(things), key=key))}


def _order_draw(each: tuple[int, Draw]) -> tuple[str, list[Any], str, int]:
    policy, draw = each
    # 2 before 10.
    parts = [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in draw.key.split()]
    return draw.purpose.value, parts, draw.salt, policy


def _describe_tuned(arena: str, loss: str, tuned: Tuned, settings: Mapping[Setting, int]) -> dict[str, Any]:
    return {
        "arena": arena,
        "loss": loss,
        "curve": [settings[each] for each in tuned.curve],
        "finalists": [settings[each] for each in tuned.finalists],
        "chosen": None if tuned.chosen is None else settings[tuned.chosen],
        "graph_sha256": tuned.graph_sha256,
    }


def _describe_row(arena: str, loss: str, setting: int, row: Mapping[int, Outcome]) -> dict[str, Any]:
    draws = sorted(row)
    return {
        "arena": arena,
        "loss": loss,
        "setting": setting,
        "draws": draws,
        "j": [None if row[each].j is None else float(f"{row[each].j:.{DIGITS}g}") for each in draws],
        "seconds": [round(row[each].seconds, 2) for each in draws],
        "failures": {str(place): row[each].reason for place, each in enumerate(draws) if row[each].j is None},
    }
