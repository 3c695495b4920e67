"""Measures the bank, the real trainings that `benchmarks.truth` and `benchmarks.decide` draw from.

`python -m benchmarks.bank [--jobs 2]` makes them and writes benchmarks/data/bank.json.gz: five hours of a core.
Resumable: every training is kept in a file, and begun again it goes on where it was ended. --as-is measures nothing
and writes what is there.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.bank_file import SHIPPED, Bank, Cell, Outcome, Tuned, write_bank
from benchmarks.bank_plan import Phase, Unit, list_cells, list_units
from benchmarks.kept import Kept
from benchmarks.planted import compile_trusted, find_source
from benchmarks.trainings import OpenArenas, describe_build, get_document
from discovery_service.domain.arenas import hash_document
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from discovery_service.domain.tuning import Progress, Training, follow_plan
from discovery_service.domain.tuning_plans import find_plan
from discovery_service.losses.canonical import canonicalise, hash_graph
from discovery_service.losses.graph import Graph
from discovery_service.losses.refusals import Refused
from workers.runtime.divergence import Diverged
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train

COMMAND = "python -m benchmarks.bank"


class NotMeasured(Exception):
    """It is not in the file, and nothing is to be measured."""


class Bench:
    """Makes a training of the bank, or finds it in the file; remembers what it was asked for."""

    def __init__(self, kept: Kept, *, measures: bool) -> None:
        self._kept, self._measures = kept, measures
        self._arenas = OpenArenas()
        self._build = describe_build()
        self.outcomes: dict[Cell, Outcome] = {}

    def get(self, cell: Cell) -> float | None:
        """Its J; None of one that failed."""
        key = _make_key(cell, self._build)
        if not self._measures and self._kept.find(key) is None:
            raise NotMeasured
        found = self._kept.get(key, partial(self._measure, cell))
        j = None if "failed" in found else found["metrics"]["J"]
        self.outcomes[cell] = Outcome(j, found["seconds"], found.get("failed"))
        return j

    def _measure(self, cell: Cell) -> dict[str, Any]:
        """Failures as the service tells them; an error that is not the loss's doing ends the benchmark."""
        optimisation = Optimisation.of(get_document(cell.arena)["recipe"])
        task = self._arenas.open(cell.arena, cell.base_policy, cell.draw)
        started = time.process_time()
        try:
            train(task, Program(_compile(cell.arena, cell.loss)), Family.PAIRWISE, cell.setting, optimisation)
        except Diverged as error:
            return {"failed": error.message, "seconds": time.process_time() - started}
        except Refused as error:
            return {"failed": error.refusals[0].message, "seconds": time.process_time() - started}
        metrics = task.measure()
        seconds = time.process_time() - started
        if not all(value is None or math.isfinite(value) for value in metrics.values()):
            return {"failed": "The trained policy's probabilities are not finite.", "seconds": seconds}
        return {"metrics": metrics, "seconds": seconds}


@cache
def _compile(arena: str, loss: str) -> Graph:
    """As the service trains it: another order of the same operations rounds otherwise."""
    return canonicalise(compile_trusted(find_source(arena, loss)))


@cache
def _hash_graph(arena: str, loss: str) -> str:
    return hash_graph(_compile(arena, loss))


@cache
def _hash_arena(name: str) -> str:
    return hash_document(get_document(name))


def _make_key(cell: Cell, build: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "arena": cell.arena,
        "arena_sha256": _hash_arena(cell.arena),
        "base_policy": cell.base_policy,
        "loss": cell.loss,
        "graph": _hash_graph(cell.arena, cell.loss),
        "setting": cell.setting.document(),
        "draw": cell.draw.document(),
        "build": dict(build),
    }


def tune(bench: Bench, arena: str, loss: str) -> Tuned:
    """By the arena's own plan on its own tune draws, as a campaign would."""
    progress = _follow(bench, arena, loss)
    finalists = [tried for tried in progress.curve if len(tried.values) > 1]
    finalists.sort(key=lambda tried: -math.inf if tried.values[0] is None else tried.values[0], reverse=True)
    return Tuned(
        curve=tuple(tried.setting for tried in progress.curve),
        finalists=tuple(tried.setting for tried in finalists),
        chosen=progress.chosen,
        graph_sha256=_hash_graph(arena, loss),
    )


def _follow(bench: Bench, arena: str, loss: str) -> Progress:
    plan = find_plan(get_document(arena))
    uses_beta = "beta" in _compile(arena, loss).inputs
    measured: dict[Training, float | None] = {}
    while not (progress := follow_plan(plan, measured, uses_beta=uses_beta, goes_on=True)).is_complete:
        for each in progress.missing:
            cell = Cell(arena, loss, each.setting, 0, Draw(Purpose.TUNE, str(each.draw)))
            measured[each] = bench.get(cell)
    return progress


def measure(kept: Path, units: Sequence[Unit]) -> None:
    """Several processes may do so at once, of other losses or arenas: a line is appended by one call of the system."""
    bench = _open_bench(kept)
    for unit in units:
        started = time.monotonic()
        for cell in list_cells(unit, tune(bench, unit.arena, unit.loss)):
            bench.get(cell)
        print(f"{unit.phase} {unit.arena} {unit.loss} {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


@cache
def _open_bench(kept: Path) -> Bench:
    """One a process: it keeps arenas warm."""
    return Bench(Kept(kept), measures=True)


def collect(kept: Path) -> tuple[Bank, int]:
    """What the file has of the plan, and how many losses in arenas are not complete."""
    bench = Bench(Kept(kept), measures=False)
    tuned: dict[tuple[str, str], Tuned] = {}
    incomplete = 0
    for unit in list_units():
        try:
            tuned[unit.arena, unit.loss] = tune(bench, unit.arena, unit.loss)
        except NotMeasured:
            incomplete += 1
            continue
        incomplete += not _collect_cells(bench, list_cells(unit, tuned[unit.arena, unit.loss]))
    arenas = {cell.arena: _hash_arena(cell.arena) for cell in bench.outcomes}
    about = {"command": COMMAND, "build": describe_build(), "arenas": arenas}
    return Bank(about, tuned, bench.outcomes), incomplete


def _collect_cells(bench: Bench, cells: Iterator[Cell]) -> bool:
    """Whether all are there."""
    is_complete = True
    for cell in cells:
        try:
            bench.get(cell)
        except NotMeasured:
            is_complete = False
    return is_complete


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", default=Path("build/bank.jsonl"), type=Path)
    parser.add_argument("--jobs", default=1, type=int, help="processes of a core each")
    parser.add_argument("--phase", action="append", type=Phase, choices=Phase, help="all unless given")
    parser.add_argument("--as-is", action="store_true", help="measure nothing")
    parser.add_argument("--out", default=SHIPPED, type=Path)
    arguments = parser.parse_args()
    if not arguments.as_is:
        units = [unit for unit in list_units() if unit.phase in (arguments.phase or Phase)]
        # A loss's trainings in an arena are one process's, so that none is made twice.
        together: dict[tuple[str, str], list[Unit]] = {}
        for unit in units:
            together.setdefault((unit.arena, unit.loss), []).append(unit)
        with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
            list(pool.map(partial(measure, arguments.kept), together.values()))
    bank, incomplete = collect(arguments.kept)
    write_bank(bank, arguments.out)
    size = arguments.out.stat().st_size
    print(
        f"{arguments.out}: {len(bank.outcomes)} trainings, {size / 1e3:.0f} kB, {incomplete} of"
        f" {len(list(list_units()))} parts incomplete",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
