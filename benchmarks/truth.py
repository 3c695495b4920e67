"""Whether the verdicts are right, by campaigns drawn anew from real trainings: `python -m benchmarks.truth`.

Placebo campaigns, in which nothing is to be found; planted ones, in which something is; the library against DPO in the
arenas where nothing can be won; and whether intervals hold what they are intervals of. All from the bank that is
shipped, by the functions that judge the service's own campaigns, some minutes of one core. A table goes to stderr, its
figures as JSON to stdout with --json. What cannot be drawn yet, because the bank has not all of it, is named.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.bank_file import SHIPPED, Bank, NotInBank, read_bank
from benchmarks.bank_plan import CONTROLS, MAIN, WITH_WINNER
from benchmarks.bank_worlds import open_world
from benchmarks.truth_campaigns import Sample, play_placebo, play_planted, sample
from benchmarks.truth_figures import (
    compare_library,
    describe_coverage,
    describe_null,
    describe_placebo,
    describe_planted,
    describe_theory,
    find_targets,
)
from benchmarks.truth_table import tabulate

FEWEST_BANKS = 40
"""Of fewer, the ends of an interval of 95 % are the least and the greatest."""

Opened = TypeVar("Opened")


def describe(bank: Bank, plan: Sample) -> dict[str, Any]:
    left_out: dict[str, str] = {}
    worlds = open_known(partial(open_world, bank), MAIN, left_out)
    null = open_known(partial(compare_library, bank), CONTROLS, left_out)
    placebo = {arena: sample(play_placebo, world, plan) for arena, world in worlds.items()}
    planted = {arena: sample(play_planted, world, plan) for arena, world in worlds.items() if arena in WITH_WINNER}
    figures = {
        "placebo": describe_placebo(placebo),
        "planted": describe_planted(planted, worlds),
        "theory": describe_theory(),
        "null": describe_null(null),
        "coverage": describe_coverage(placebo, planted),
        "left_out": left_out,
        "bank": {"trainings": len(bank.outcomes), **bank.about},
    }
    return figures | {"targets": [each.document() for each in find_targets(figures)]}


def open_known(find: Callable[[str], Opened], arenas: Iterable[str], left_out: dict[str, str]) -> dict[str, Opened]:
    """Of which the bank has all; why the others are left out is noted."""
    opened = {}
    for arena in arenas:
        try:
            opened[arena] = find(arena)
        except NotInBank as missing:
            left_out[arena] = str(missing)
    return opened


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="figures to stdout")
    parser.add_argument("--bank", default=SHIPPED, type=Path)
    parser.add_argument("--campaigns", default=Sample.campaigns, type=int, help="of each kind in each arena")
    parser.add_argument("--banks", default=Sample.banks, type=int, help="drawn from the bank, for the intervals")
    arguments = parser.parse_args(argv)
    if arguments.campaigns < Sample.campaigns_of_bank:
        parser.error(f"At least {Sample.campaigns_of_bank} campaigns: their interval is of so many from each bank.")
    if arguments.banks < FEWEST_BANKS:
        print(f"Intervals of {arguments.banks} banks are not of 95 %: that takes {FEWEST_BANKS}.", file=sys.stderr)
    figures = describe(read_bank(arguments.bank), Sample(arguments.campaigns, arguments.banks))
    print(tabulate(figures), file=sys.stderr)
    if arguments.json:
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
