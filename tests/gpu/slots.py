"""What becomes of a slot on a card: out of memory, a poisoned context, and how many evaluations it makes in an hour."""

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from benchmarks.evaluations import AMPLE, Cell, Loss, evaluate_here, make_runtime
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose
from discovery_service.domain.worlds import ArenaSize
from discovery_service.losses.described import list_described
from discovery_service.settings import MachineSettings
from tests.runtime import toy
from workers.runtime.protocol import DrawMessage, Evaluate, SettingMessage
from workers.slots import make_environment
from workers.supervisor.devices import CPU, Device
from workers.supervisor.outcome import Crashed, Failed, Limits, Measured, Outcome
from workers.supervisor.runtime import Runtime

EVALUATIONS = 5
SETTINGS = {ArenaSize.MINI: Setting(1.0, 1.5e-3, 120), ArenaSize.BASE: Setting(1.0, 1e-3, 120)}
_CPU_BYTES = 2 << 30


@dataclass(frozen=True)
class Fault:
    provoked: str
    outcome: str
    is_as_wanted: bool
    is_recovered: bool
    """Whether the slot took the next evaluation."""


def provoke_faults(device: Device, cache: Path) -> list[Fault]:
    """In the middle of a training in the arena of the runtime's own tests."""
    command = (sys.executable, "-I", str(Path(toy.__file__)), "--device", device.name, "--cache", str(cache))
    with Runtime(command, make_environment(device, MachineSettings())) as slot:
        return [
            _provoke(slot, device, "memory runs out", "fill_tensors", _has_run_out_of_memory),
            _provoke(slot, device, "the context is poisoned", "poison", _has_crashed),
        ]


def _provoke(slot: Runtime, device: Device, provoked: str, do: str, is_wanted: Callable[[Outcome], bool]) -> Fault:
    outcome = _evaluate(slot, device, {"do": do, "at": "take", "step": 3})
    return Fault(provoked, _describe(outcome), is_wanted(outcome), isinstance(_evaluate(slot, device), Measured))


def _evaluate(slot: Runtime, device: Device, *faults: Mapping[str, Any]) -> Outcome:
    # What a process on a card holds in the machine's own memory is mostly the driver's.
    memory_bytes = _CPU_BYTES if device is CPU else None
    order = Evaluate(
        job="card",
        arena=toy.document(faults=[dict(each) for each in faults]),
        base_policy=0,
        graph=list_described(Family.PAIRWISE)["dpo"].graph,
        setting=SettingMessage(beta=0.5, learning_rate=0.05, steps=10),
        draw=DrawMessage(purpose=Purpose.TUNE, key="0"),
        memory_bytes=memory_bytes,
    )
    return slot.evaluate(order, Limits(AMPLE.evaluation_s, AMPLE.stall_s, memory_bytes), stop=Event())


def _has_run_out_of_memory(outcome: Outcome) -> bool:
    """By our doing, because no loss computes where it ran out."""
    return isinstance(outcome, Crashed) and "memory" in outcome.reason


def _has_crashed(outcome: Outcome) -> bool:
    return isinstance(outcome, Crashed)


def _describe(outcome: Outcome) -> str:
    match outcome:
        case Failed():
            return f"failed ({outcome.code})"
        case Crashed():
            return f"crashed ({outcome.reason})"
    return type(outcome).__name__.lower()


def measure_rate(device: Device, size: ArenaSize, cache: Path, evaluations: int = EVALUATIONS) -> float:
    """Evaluations an hour with DPO in `plain` by one slot that is warm."""
    cell = Cell(f"plain:{size}", Loss("dpo", 1.0, "sigmoid"), SETTINGS[size], Draw(Purpose.CALIBRATE, "card"))
    with make_runtime(cache, device) as runtime:
        evaluate_here(runtime, cell)
        return 3600 / statistics.median(evaluate_here(runtime, cell)["wall_s"] for _ in range(evaluations))


def measure_rates(
    device: Device, sizes: Sequence[ArenaSize], cache: Path, evaluations: int
) -> dict[str, tuple[float, float]]:
    """On the device and on one core, by size."""
    rates = {}
    for size in sizes:
        rate = measure_rate(device, size, cache, evaluations)
        rates[size.value] = (rate, rate if device is CPU else measure_rate(CPU, size, cache, evaluations))
    return rates
