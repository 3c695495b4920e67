"""Whether the search finds what is there, and which strategy does: `python -m benchmarks.search`.

Campaigns through the whole service, on a local stack with two slots, the symbolic proposer alone, R-DPO left out of
their library: one of 30 candidates for what its slots do; ten of 40 in `terse`, where something is to be found, and ten
in `plain`, where nothing is; a handful whose candidates are given, copies of DPO or what is planted among other losses,
beside what the bank of `benchmarks.truth` says; then `evolve`, `best_of_n`, `discopop` and `blind` at 20 candidates
each, with the same seeds in five arenas. Equal is the number of proposals;
evaluations are charged also for what another campaign has measured.

A day of two cores in all. Begun again, it goes on where it was ended, also within a campaign: --minutes, --campaigns
and the filters run it in parts, --list says what is missing, --as-is runs nothing. A table goes to stderr, its figures
as JSON to stdout with --json. With --ship what feedback was worth is written into the package, where `discovery
reproduce discopop` reads it.
"""

import argparse
import json
import math
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.kept import Kept
from benchmarks.local_stack import running_stack
from benchmarks.search_figures import describe
from benchmarks.search_gains import find_gains
from benchmarks.search_plan import COMPARED_ARENAS, SLOTS, STRATEGIES, Case, Part, list_cases
from benchmarks.search_run import run_cases
from benchmarks.search_shipped import describe_feedback, ship
from benchmarks.search_table import tabulate

KEPT = Path(__file__).parent / "data" / "search.jsonl"
"""What is there ships, so that its tables can be printed without a day of two cores."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    cases, kept = choose(list(list_cases()), arguments), Kept(arguments.kept)
    missing = [case for case in cases if kept.find(case.key) is None]
    if arguments.list:
        print("\n".join([*map(str, missing), f"{len(missing)} of {len(cases)} campaigns are missing"]))
        return
    problems = []
    # Told to end, it ends as by Ctrl-C, and the stack with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if missing and not arguments.as_is:
        until = monotonic() + 60 * arguments.minutes
        with running_stack(arguments.data, slots=SLOTS) as stack:
            problems = run_cases(stack, kept, missing[: arguments.campaigns], until=until)
    found = {case: outcome for case in cases if (outcome := kept.find(case.key)) is not None}
    arenas = dict.fromkeys(case.arena for case in found)
    gains = find_gains(arenas, arguments.gains, measures=not arguments.as_is)
    figures = describe(found, gains)
    print(
        tabulate(figures), f"{len(cases) - len(found)} of {len(cases)} campaigns are missing", sep="\n", file=sys.stderr
    )
    if arguments.json:
        print(json.dumps(figures, indent=2))
    if arguments.ship:
        ship(describe_feedback(kept))
    if problems:
        sys.exit("Not completed; look after them and begin again:\n" + "\n".join(problems))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="figures to stdout")
    parser.add_argument("--ship", action="store_true", help="write into the package what feedback was worth")
    parser.add_argument("--list", action="store_true", help="what is missing, and nothing else")
    parser.add_argument("--as-is", action="store_true", help="run nothing: what is told of what is there")
    parser.add_argument("--part", action="append", type=Part, choices=Part, help="all unless given")
    parser.add_argument("--arena", action="append", choices=COMPARED_ARENAS, help="all unless given")
    parser.add_argument("--strategy", action="append", choices=STRATEGIES, help="all unless given")
    parser.add_argument("--seeds", type=int, default=None, help="no higher ones than this; all unless given")
    parser.add_argument("--campaigns", type=int, default=None, help="no more than so many in this run")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after so many none is begun any more")
    parser.add_argument("--kept", default=KEPT, type=Path, help="where outcomes are kept")
    parser.add_argument("--gains", default=Path("build/search_gains.jsonl"), type=Path, help="of planted winners")
    parser.add_argument("--data", default=Path("build/search"), type=Path, help="of the local stack")
    return parser.parse_args(argv)


def choose(cases: Sequence[Case], asked: Any) -> list[Case]:
    return [
        case
        for case in cases
        if case.part in (asked.part or Part)
        and case.arena in (asked.arena or COMPARED_ARENAS)
        and case.strategy in (asked.strategy or STRATEGIES)
        and (asked.seeds is None or case.seed <= asked.seeds)
    ]


if __name__ == "__main__":
    main()
