"""The built-in pairwise arenas against the table of the prototype that they were designed with.

`python -m benchmarks.arenas [--arena terse ...] [--size base] [--draws 12]` trains DPO, the planted winner and what the
table has beside them at the table's settings on fresh draws. A table goes to stderr, its figures as JSON to stdout.
Resumable: every training is kept in the file that --kept names.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.planted import PLANTED, Setup
from benchmarks.trainings import Trainings
from discovery_service.domain.arenas import find_document, hash_document
from discovery_service.domain.intervals import Interval, find_interval
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.published import find_figures
from discovery_service.domain.states import Purpose
from discovery_service.domain.worlds import ArenaSize

RATES = {ArenaSize.MINI: 1.5e-3, ArenaSize.BASE: 1e-3}


@dataclass(frozen=True)
class Expected:
    setups: dict[str, Setup]
    """Losses of the library by name, and the planted winner."""
    prototype: tuple[float, float, float] | None = None
    """Its J_ref, J_best and J of DPO at size mini; the variants it did not have."""


TABLE = {
    "terse": Expected(
        {"dpo": Setup(2), "cdpo": Setup(1), PLANTED: Setup(1, 5e-4, 240)},
        (0.01, 1.69, 0.825),
    ),
    "panel": Expected(
        {"dpo": Setup(0.5), "slic": Setup(0.5), PLANTED: Setup(1)},
        (-0.07, 2.05, 0.842),
    ),
    "fog": Expected(
        {"dpo": Setup(0.5), "ipo": Setup(0.12), PLANTED: Setup(0.5)},
        (-0.07, 2.05, 0.779),
    ),
    "fluent": Expected(
        {"dpo": Setup(1), "ipo": Setup(0.12), PLANTED: Setup(1)},
        (-0.07, 2.05, 1.367),
    ),
    "plain": Expected(
        {"dpo": Setup(1), "ipo": Setup(0.12), "cdpo": Setup(0.5), "exp": Setup(0.5)},
        (0.01, 1.69, 1.273),
    ),
    "flips": Expected(
        {"dpo": Setup(0.5), "ipo": Setup(0.12), "cdpo": Setup(0.25)},
        (-0.07, 2.05, 0.702),
    ),
    # Their settings are the best of eight on two tune draws.
    "terse-strong": Expected({"dpo": Setup(4), PLANTED: Setup(1)}),
    "panel-inverted": Expected({"dpo": Setup(2, 5e-4), PLANTED: Setup(1)}),
    "fog-dense": Expected({"dpo": Setup(0.5), PLANTED: Setup(1)}),
    "fluent-strong": Expected({"dpo": Setup(2), PLANTED: Setup(1)}),
}


@dataclass(frozen=True)
class Line:
    arena: str
    loss: str
    j: float
    sd: float
    gain: Interval
    """Over DPO on the same draws."""

    @property
    def verdict(self) -> str:
        if self.gain.low is None or self.gain.high is None or self.gain.low <= 0 <= self.gain.high:
            return "not distinguishable"
        return "better" if self.gain.low > 0 else "worse"


def compare(trainings: Trainings, name: str, size: ArenaSize, base_policy: int, draws: int) -> Iterator[Line]:
    """Every loss of the table's line against DPO on the same draws."""
    found: dict[str, list[float]] = {}
    for loss, setup in TABLE[name].setups.items():
        setting = Setting(setup.beta, setup.learning_rate or RATES[size], setup.steps)
        fresh = (Draw(Purpose.CALIBRATE, f"table {number}") for number in range(draws))
        measured = (trainings.find(f"{name}:{size}", base_policy, loss, setting, draw)["J"] for draw in fresh)
        found[loss] = [each for each in measured if each is not None]
        gains = [own - dpo for own, dpo in zip(found[loss], found["dpo"], strict=True)]
        yield Line(name, loss, statistics.fmean(found[loss]), statistics.stdev(found[loss]), find_interval(gains))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arena", action="append", choices=TABLE, help="all of the table unless given")
    parser.add_argument("--size", default=ArenaSize.MINI, type=ArenaSize, choices=ArenaSize)
    parser.add_argument("--draws", default=12, type=int)
    parser.add_argument("--base-policy", default=0, type=int)
    parser.add_argument("--kept", default=Path("build/arenas.jsonl"), type=Path)
    arguments = parser.parse_args()
    trainings, lines = Trainings(arguments.kept), []
    for name in arguments.arena or TABLE:
        _show_optimum(name, arguments.size, arguments.base_policy)
        for line in compare(trainings, name, arguments.size, arguments.base_policy, arguments.draws):
            lines.append(line)
            print(
                f"  {line.loss:10} J {line.j:6.3f} ({line.sd:.3f})   - dpo {line.gain.mean:+.3f}"
                f" [{line.gain.low:+.3f}, {line.gain.high:+.3f}] {line.verdict}",
                file=sys.stderr,
            )
    print(json.dumps([asdict(line) | {"verdict": line.verdict} for line in lines], indent=2))


def _show_optimum(name: str, size: ArenaSize, base_policy: int) -> None:
    document = find_document(f"{name}:{size}")
    assert document is not None
    figures, prototype = find_figures(hash_document(document), base_policy), TABLE[name].prototype
    ours = "unpublished" if figures is None else f"{figures.j_ref:.2f} / {figures.j_best:.2f}"
    theirs = "" if prototype is None else "; prototype at mini {} / {}, DPO {}".format(*prototype)
    print(f"{name}:{size} J_ref / J_best {ours}{theirs}", file=sys.stderr)


if __name__ == "__main__":
    main()
