"""The same evaluation made in two ways, each timed by who asks for it: by this runtime through its supervisor, and by a
fresh process around TRL's DPOTrainer."""

import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from discovery_service.domain.arenas import find_document
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.losses.described import list_described
from discovery_service.settings import MachineSettings
from workers.runtime.protocol import DrawMessage, Evaluate, Progress, SettingMessage, Stage
from workers.slots import COMMAND, make_environment
from workers.supervisor.devices import CPU, Device
from workers.supervisor.outcome import Limits, Measured
from workers.supervisor.proc import look_at
from workers.supervisor.runtime import Runtime

AMPLE = Limits(evaluation_s=3600, stall_s=3600)
WITHOUT_TRL = (
    "The half around TRL is left out, because trl is not installed here: pip install 'discovery-service[trl]', or in a"
    " checkout pip install -e '.[trl]'."
)


@dataclass(frozen=True)
class Loss:
    name: str
    """In the library."""
    beta: float
    loss_type: str
    """What TRL calls it."""
    config: tuple[tuple[str, float], ...] = ()
    """TRL's names of what ours has as hyper-parameters."""


@dataclass(frozen=True)
class Cell:
    """What both ways are asked for."""

    arena: str
    """As plain:base."""
    loss: Loss
    setting: Setting
    draw: Draw
    base_policy: int = 0

    @property
    def document(self) -> dict[str, Any]:
        document = find_document(self.arena)
        if document is None:
            raise SystemExit(f"There is no built-in arena {self.arena}.")
        return document

    def order(self) -> Evaluate:
        return Evaluate(
            job=f"{self.arena} {self.loss.name} {self.draw.key}",
            arena=self.document,
            base_policy=self.base_policy,
            graph=list_described(Family.PAIRWISE)[self.loss.name].graph,
            setting=SettingMessage(**self.setting.document()),
            draw=DrawMessage.model_validate(self.draw.document()),
        )


def make_runtime(cache: Path, device: Device = CPU) -> Runtime:
    """One slot, as a worker has them."""
    options = ("--device", device.name, "--cache", str(cache.absolute()))
    return Runtime((*COMMAND, *options), make_environment(device, MachineSettings()))


def evaluate_here(runtime: Runtime, cell: Cell) -> dict[str, Any]:
    """By a runtime that runs already. `seconds` are by stage, as the supervisor hears of them."""
    runtime.start()
    entered: dict[Stage, float] = {}

    def note(told: Progress) -> None:
        entered.setdefault(told.stage, time.perf_counter())

    pid, started = runtime.pid, time.perf_counter()
    before_s = _count_cpu_s(pid)
    outcome = runtime.evaluate(cell.order(), AMPLE, stop=Event(), on_progress=note)
    ended = time.perf_counter()
    if not isinstance(outcome, Measured):
        raise SystemExit(f"{cell.loss.name} in {cell.arena} was to be measured, but: {outcome}")
    return {
        "wall_s": ended - started,
        "cpu_s": _count_cpu_s(pid) - before_s,
        "seconds": {
            "opening": entered[Stage.TRAINING] - started,
            "training": entered[Stage.MEASURING] - entered[Stage.TRAINING],
            "measuring": ended - entered[Stage.MEASURING],
        },
        # With what a training begins and ends with, which its process leaves out of TRL's.
        "step_s": (entered[Stage.MEASURING] - entered[Stage.TRAINING]) / cell.setting.steps,
        "metrics": outcome.metrics,
    }


def _count_cpu_s(pid: int | None) -> float:
    sight = None if pid is None else look_at(pid)
    return 0.0 if sight is None else sight.cpu_s


def _count_cpu_s_of_children() -> float:
    """Of those that have ended; the runtimes have not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def is_trl_here() -> bool:
    return all(importlib.util.find_spec(name) for name in ("trl", "datasets"))


class TrlFolder:
    """A base policy, its tokenizer and the pairs of some draws, as a user of TRL has them on disk."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder, self._cache = folder, cache

    def evaluate(self, cell: Cell, *, precompute: bool) -> dict[str, Any]:
        """In a process of its own, from its start to its end."""
        place = self._folder / cell.arena.replace(":", "-")
        order = {
            "folder": str(place),
            "pairs": str(self._write(place, cell)),
            "cache": str(self._cache.absolute()),
            "arena": cell.document,
            "base_policy": cell.base_policy,
            "draw": cell.draw.document(),
            "setting": cell.setting.document(),
            "loss_type": cell.loss.loss_type,
            "config": dict(cell.loss.config),
            "precompute": precompute,
        }
        command = [sys.executable, "-m", "benchmarks.trl_evaluation"]
        before_s, started = _count_cpu_s_of_children(), time.perf_counter()
        with subprocess.Popen(
            command, env=self._environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            said, _ = process.communicate(json.dumps(order))
            wall_s = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"TRL's evaluation of {cell.loss.name} in {cell.arena} ended with an error, see above.")
        cpu_s = _count_cpu_s_of_children() - before_s
        told = json.loads(said.splitlines()[-1])
        seconds = {"starting": wall_s - sum(told["seconds"].values()), **told["seconds"]}
        return {**told, "wall_s": wall_s, "cpu_s": cpu_s, "seconds": seconds}

    def _environment(self) -> Mapping[str, str]:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        quiet = {
            "HF_HOME": str(self._folder / "hf"),
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "TRANSFORMERS_VERBOSITY": "error",
            "TQDM_DISABLE": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "PYTHONWARNINGS": "ignore",
        }
        return {**os.environ, **threads, **quiet}

    def _write(self, place: Path, cell: Cell) -> Path:
        """The file with the pairs; nothing is written twice."""
        from benchmarks.trl_folder import write_model, write_pairs

        if not (place / "model").exists():
            write_model(place / "model", cell.document, cell.base_policy, self._cache)
        pairs = place / f"{cell.draw.purpose}-{cell.draw.key.replace(' ', '-')}.jsonl"
        if not pairs.exists():
            write_pairs(pairs, cell.document, cell.base_policy, cell.draw, self._cache)
        return pairs
