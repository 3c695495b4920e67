"""How many evaluations a core makes in an hour, by this runtime and around TRL: `python -m benchmarks.throughput`.

The same losses, settings and draws (a) in one fresh process each around TRL's DPOTrainer, with and without
precompute_ref_log_probs, (b) by this runtime through its supervisor, kept warm. One torch thread each, and in turn, so
that a noisy machine hits both. The pairs lie in the cache of arenas before anything is timed. A table goes to stdout,
with --json the figures instead. Begun again, it goes on where it was ended; twenty minutes on two quiet cores.
"""

import argparse
import hashlib
import importlib.metadata
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Self

from benchmarks.evaluations import WITHOUT_TRL, Cell, Loss, TrlFolder, evaluate_here, is_trl_here, make_runtime
from benchmarks.kept import Kept
from benchmarks.throughput_figures import HERE, TRL, TRL_PRECOMPUTE, WAYS, Row, describe, tabulate
from discovery_service.domain.arenas import arena_names, hash_document
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import TRAINER, Draw, Setting
from discovery_service.domain.states import Purpose
from discovery_service.domain.worlds import ArenaSize
from discovery_service.settings import get_settings
from workers.supervisor.proc import look_at
from workers.supervisor.runtime import Runtime, RuntimeLost

WORLD = "plain"
STEPS = 120
RATES = {ArenaSize.BASE: 1e-3, ArenaSize.MINI: 1.5e-3}
# The last is the form that a language model discovered for the paper on DiscoPOP.
LOSSES = (
    Loss("dpo", 1.0, "sigmoid"),
    Loss("ipo_avg", 1.5, "ipo"),
    Loss("slic", 1.0, "hinge"),
    Loss("lrml", 1.0, "discopop", (("discopop_tau", 0.05),)),
)
SLOT_EVALUATIONS = {ArenaSize.BASE: 3, ArenaSize.MINI: 12}
"""By each slot, one after the other, before the clock is read."""


@dataclass(frozen=True)
class Plan:
    sizes: Sequence[ArenaSize]
    losses: Sequence[Loss]
    draws: int
    slot_repeats: int
    slot_evaluations: Mapping[ArenaSize, int]
    with_memory: bool

    def cells(self) -> Iterator[tuple[ArenaSize, Cell]]:
        """A size that takes long first, for what is missing at the end of a short night is then of the other."""
        for draw in range(self.draws):
            for loss in self.losses:
                for size in self.sizes:
                    yield size, make_cell(size, loss, draw)


FULL = Plan((ArenaSize.BASE, ArenaSize.MINI), LOSSES, 5, 3, SLOT_EVALUATIONS, with_memory=True)
QUICK = Plan((ArenaSize.MINI,), LOSSES[:1], 1, 1, {ArenaSize.MINI: 2}, with_memory=False)


def make_cell(size: ArenaSize, loss: Loss, draw: int) -> Cell:
    setting = Setting(loss.beta, RATES[size], STEPS)
    return Cell(f"{WORLD}:{size}", loss, setting, Draw(Purpose.CALIBRATE, f"throughput {draw}"))


class Slots:
    """Runtimes that are kept from one measurement to the next, each warm before it is timed."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._stack = ExitStack()
        self._runtimes: list[Runtime] = []
        self._warm: set[tuple[int, str, Draw]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, number: int, cell: Cell) -> Runtime:
        while len(self._runtimes) <= number:
            self._runtimes.append(self._stack.enter_context(make_runtime(self._cache)))
        key = number, cell.arena, cell.draw
        if key not in self._warm:
            warming = replace(cell, setting=replace(cell.setting, steps=2))
            evaluate_here(self._runtimes[number], warming)
            self._warm.add(key)
        return self._runtimes[number]


class Throughput:
    def __init__(self, plan: Plan, kept: Kept, cache: Path, folder: Path, slots: Slots) -> None:
        self._plan, self._kept, self._cache, self._slots = plan, kept, cache, slots
        self._trl = TrlFolder(folder, cache)
        self._build = describe_build()
        self._rows: list[Row] = []

    def run(self) -> list[Row]:
        """Whatever the plan asks for, measured unless it is known already."""
        for place, (size, cell) in enumerate(self._plan.cells()):
            ways = [way for way in WAYS if way == HERE or is_trl_here()]
            if cell.draw != make_cell(size, cell.loss, 0).draw:
                # Without precompute TRL is only slower; one draw is enough to see it.
                ways = [way for way in ways if way != TRL]
            # Who comes first is not always the same.
            for way in ways[place % len(ways) :] + ways[: place % len(ways)]:
                self._keep(self._key("evaluation", size, cell, way=way), partial(self._evaluate, way, cell))
        for size in self._plan.sizes:
            cell, each = make_cell(size, LOSSES[0], 0), self._plan.slot_evaluations[size]
            for repeat, slots in product(range(self._plan.slot_repeats), (1, 2)):
                key = self._key("slots", size, cell, slots=slots, repeat=repeat, each=each)
                self._keep(key, partial(self._fill, slots, each, cell))
            self._keep(self._key("profile", size, cell), partial(self._profile, cell))
        if self._plan.with_memory:
            self._keep({"what": "memory", "arenas": arena_names(Family.PAIRWISE), "build": self._build}, self._hold_all)
        return self._rows

    def _key(self, what: str, size: ArenaSize, cell: Cell, **more: Any) -> dict[str, Any]:
        return {
            "what": what,
            "size": size.value,
            "arena": hash_document(cell.document),
            "loss": cell.loss.name,
            "setting": cell.setting.document(),
            "draw": cell.draw.key,
            "build": self._build,
            **more,
        }

    def _keep(self, key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
        if self._kept.find(key) is None:
            told = (key.get(name) for name in ("what", "size", "way", "slots", "loss", "draw"))
            print(" ".join(str(each) for each in told if each is not None), file=sys.stderr, flush=True)
        self._rows.append((key, self._kept.get(key, measure)))

    def _evaluate(self, way: str, cell: Cell) -> dict[str, Any]:
        if way == HERE:
            return evaluate_here(self._slots.take(0, cell), cell)
        return self._trl.evaluate(cell, precompute=way == TRL_PRECOMPUTE)

    def _fill(self, slots: int, each: int, cell: Cell) -> dict[str, Any]:
        """So many evaluations on each of so many slots at once."""
        runtimes = [self._slots.take(number, cell) for number in range(slots)]

        def work(runtime: Runtime) -> None:
            for _ in range(each):
                evaluate_here(runtime, cell)

        started = time.perf_counter()
        with ThreadPoolExecutor(slots) as pool:
            list(pool.map(work, runtimes))
        return {"evaluations": slots * each, "wall_s": time.perf_counter() - started}

    def _profile(self, cell: Cell) -> dict[str, Any]:
        from benchmarks.hardware import profile

        return profile(cell, self._cache)

    def _hold_all(self) -> dict[str, Any]:
        """What a runtime holds that has trained in every built-in arena once."""
        names = arena_names(Family.PAIRWISE)
        with make_runtime(self._cache) as runtime:
            for name in names:
                cell = make_cell(ArenaSize(name.partition(":")[2]), LOSSES[0], 0)
                evaluate_here(runtime, replace(cell, arena=name, setting=replace(cell.setting, steps=2)))
            assert runtime.pid is not None
            sight = look_at(runtime.pid)
            assert sight is not None
            return {"rss_bytes": sight.rss_bytes, "arenas": len(names)}


def describe_build() -> dict[str, Any]:
    """Whose figures are kept apart."""
    import torch

    from workers.arenas.machine import describe_machine

    torch.set_num_threads(1)
    versions = {
        name: importlib.metadata.version(name) for name in ("transformers", "trl") if name != "trl" or is_trl_here()
    }
    return {**describe_machine(), **versions, "trainer": TRAINER, "source": _hash_source()}


def _hash_source() -> str:
    """Of what is timed: it may become faster without computing anything else."""
    root = Path(__file__).parent.parent / "workers"
    files = sorted(path for part in ("runtime", "arenas") for path in (root / part).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="figures to stdout, and the table to stderr")
    parser.add_argument("--results", type=Path, help="where finished runs are kept; with the cached arenas by default")
    parser.add_argument("--fresh", action="store_true", help="forget what that file has")
    parser.add_argument("--draws", type=int, help=f"so many of each loss; {FULL.draws} unless given")
    parser.add_argument("--quick", action="store_true", help="one loss, one draw, size mini: to see that it works")
    arguments = parser.parse_args(argv)
    plan = QUICK if arguments.quick else FULL
    plan = replace(plan, draws=arguments.draws or plan.draws)
    cache = get_settings().arena_cache
    kept = Kept(arguments.results or cache / "throughput.jsonl", fresh=arguments.fresh)
    if not is_trl_here():
        print(WITHOUT_TRL, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="throughput", ignore_cleanup_errors=True) as folder, Slots(cache) as slots:
        try:
            rows = Throughput(plan, kept, cache, Path(folder), slots).run()
        except RuntimeLost as lost:
            sys.exit(f"{lost} What was measured until now is kept in {kept.path}.")
    figures = describe(rows)
    print(tabulate(figures), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps(figures | {"build": describe_build()}, indent=2))


if __name__ == "__main__":
    main()
