"""What it costs to decide which of 36 losses is the best: `python -m benchmarks.decide`.

(a) As peers do it, a process around TRL's DPOTrainer for each evaluation and every setting on the same number of draws:
extrapolated from the processor time of a few such processes, which are measured here. (b) The same on this runtime, and
(c) screen, then confirm, from the times in the bank. In `terse:mini`, for decisions drawn anew from the bank. The
exhaustive runs have as many draws as they need to be right as often as (c) is, but for a standard error of so many
decisions, at most twelve; where those do not suffice the ratios are bounds, and said to be. Right is a pick whose true
J is within one A/A standard deviation of the best. A table goes to stderr, its figures as JSON to stdout with --json.
Five minutes of one core, two of them for TRL's processes, which are kept in a file.
"""

import argparse
import importlib.metadata
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from benchmarks.bank_file import SHIPPED, NotInBank, read_bank
from benchmarks.bank_plan import DECIDE, DECIDED
from benchmarks.decide_figures import Repeated, describe, tabulate
from benchmarks.decisions import Table, decide, find_exhaustive, open_table
from benchmarks.evaluations import WITHOUT_TRL, Cell, TrlFolder, is_trl_here
from benchmarks.kept import Kept
from benchmarks.throughput import LOSSES
from benchmarks.trainings import describe_build, get_document
from discovery_service.domain.arenas import hash_document
from discovery_service.domain.measuring import Setting
from discovery_service.domain.published import find_figures
from discovery_service.settings import get_settings

STEPS, RATE = 120, 1.5e-3
PEER_DRAWS = 2
"""Of each loss that TRL has too."""


@dataclass(frozen=True)
class Sample:
    decisions: int = 2000
    banks: int = 100
    decisions_of_bank: int = 500
    seed: int = 0


def repeat(table: Table, decisions: int, tolerance: float, peers: Sequence[float], rng: random.Random) -> Repeated:
    made = [decide(table, rng) for _ in range(decisions)]
    truths = [float(table.means[each.pick]) for each in made]
    right = fmean(truth >= table.best - tolerance for truth in truths)
    return Repeated(
        decisions=decisions,
        right=right,
        exhaustive=find_exhaustive(table, decisions, tolerance, rng),
        regret=fmean(table.best - truth for truth in truths),
        tau=fmean(each.tau for each in made),
        tau_of_screened=fmean(each.tau_of_screened for each in made),
        seconds=fmean(each.seconds for each in made),
        trainings=fmean(each.trainings for each in made),
        exhaustive_s=table.exhaustive_s,
        ways=table.ways,
        peer_s=fmean(peers) if peers else None,
    )


def run(table: Table, plan: Sample, tolerance: float, peers: Sequence[float]) -> tuple[Repeated, list[Repeated]]:
    """Once on the bank, and on banks drawn from it, each the truth of its own decisions."""
    rng = random.Random(plan.seed)
    whole = repeat(table, plan.decisions, tolerance, peers, rng)
    banks = []
    for _ in range(plan.banks):
        again = rng.choices(peers, k=len(peers)) if peers else peers
        banks.append(repeat(table.resample(rng), plan.decisions_of_bank, tolerance, again, rng))
    return whole, banks


def measure_peers(kept: Kept) -> list[float]:
    """Core-seconds of an evaluation each, in a process around TRL's trainer that keeps reference log-probabilities."""
    cache, found = get_settings().arena_cache, []
    build = {**describe_build(), "trl": importlib.metadata.version("trl")}
    with tempfile.TemporaryDirectory(prefix="decide", ignore_cleanup_errors=True) as folder:
        trl = TrlFolder(Path(folder), cache)
        for _, draw in DECIDE[:PEER_DRAWS]:
            for loss in LOSSES:
                cell = Cell(DECIDED, loss, Setting(loss.beta, RATE, STEPS), draw)
                key = {
                    "arena": hash_document(get_document(DECIDED)),
                    "loss": loss.name,
                    "setting": cell.setting.document(),
                    "draw": draw.document(),
                    "build": build,
                }
                found.append(kept.get(key, partial(trl.evaluate, cell, precompute=True))["cpu_s"])
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="figures to stdout")
    parser.add_argument("--bank", default=SHIPPED, type=Path)
    parser.add_argument("--kept", default=Path("build/decide.jsonl"), type=Path, help="where TRL's times are kept")
    parser.add_argument("--decisions", default=Sample.decisions, type=int)
    parser.add_argument("--banks", default=Sample.banks, type=int, help="drawn from the bank, for the intervals")
    arguments = parser.parse_args(argv)
    try:
        table = open_table(read_bank(arguments.bank))
    except NotInBank as missing:
        sys.exit(f"{missing} python -m benchmarks.bank --phase decide measures it.")
    published = find_figures(hash_document(get_document(DECIDED)), base_policy=0)
    if published is None or published.repeat_sd is None:
        sys.exit(f"The A/A noise of {DECIDED} is not published: discovery arena calibrate measures it.")
    if not is_trl_here():
        print(WITHOUT_TRL, file=sys.stderr)
    peers = measure_peers(Kept(arguments.kept)) if is_trl_here() else []
    whole, banks = run(table, Sample(arguments.decisions, arguments.banks), published.repeat_sd, peers)
    figures = describe(whole, banks, noise_sd=published.repeat_sd, losses=len(table.losses), peers=peers)
    print(tabulate(figures), file=sys.stderr)
    if arguments.json:
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
