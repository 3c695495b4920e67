"""What a fitted reward hides: DPO trained ever further from its reference, measured by the gold reward and by a proxy.

`python -m benchmarks.over_optimisation [--draws 12]` trains with DPO in `shift:mini` at a falling beta. The proxy is a
reward fitted to the same pairs, as somebody without the gold reward would have one. A table goes to stderr, JSON to
stdout: each beta against the one before it, differences over draws with their interval. Over-optimised is where the
proxy still rises, the gold reward is not seen to, and the proxy promises more than comes. Resumable: every training is
kept in the file that --kept names.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.trainings import Trainings
from discovery_service.domain.intervals import Interval, find_interval
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose

BETAS = (4.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.05, 0.02)
GOLD, PROXY, PROMISED = "reward", "proxy_reward", "promised too much"


@dataclass(frozen=True)
class Step:
    """To a beta from the one before it in the list."""

    beta: float
    kl: float
    means: dict[str, float]
    changes: dict[str, Interval]

    @property
    def is_over_optimisation(self) -> bool:
        rises = {name: each.low is not None and each.low > 0 for name, each in self.changes.items()}
        return rises[PROXY] and rises[PROMISED] and not rises[GOLD]


def find_steps(trainings: Trainings, draws: int) -> Iterator[Step]:
    before: list[dict[str, float]] = []
    for beta in BETAS:
        now = [_measure(trainings, beta, number) for number in range(draws)]
        if before:
            means = {name: fmean(each[name] for each in now) for name in (GOLD, PROXY, PROMISED)}
            changes = {name: _compare(before, now, name) for name in means}
            yield Step(beta, fmean(each["kl"] for each in now), means, changes)
        before = now


def _measure(trainings: Trainings, beta: float, number: int) -> dict[str, float]:
    draw = Draw(Purpose.CALIBRATE, f"over-optimisation {number}")
    found = trainings.find("shift:mini", 0, "dpo", Setting(beta, 1.5e-3, 120), draw)
    return {**found, PROMISED: found[PROXY] - found[GOLD]}


def _compare(before: Sequence[dict[str, float]], now: Sequence[dict[str, float]], name: str) -> Interval:
    return find_interval([new[name] - old[name] for old, new in zip(before, now, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", default=12, type=int)
    parser.add_argument("--kept", default=Path("build/over_optimisation.jsonl"), type=Path)
    arguments = parser.parse_args()
    steps = []
    for step in find_steps(Trainings(arguments.kept), arguments.draws):
        steps.append(step)
        said = "  ".join(
            f"{name} {step.means[name]:.3f}, {change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
            for name, change in step.changes.items()
        )
        mark = "  over-optimised" if step.is_over_optimisation else ""
        print(f"beta {step.beta:<5g} KL {step.kl:6.3f}  {said}{mark}", file=sys.stderr)
    found = [asdict(step) | {"is_over_optimisation": step.is_over_optimisation} for step in steps]
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
