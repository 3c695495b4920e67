"""What a training step computes and what this machine can: operations counted, the peak of a matrix product, and how
much of measuring is sampling. In this process, on one thread."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.evaluations import Cell
from discovery_service.losses.graph import read_graph
from workers.arenas.opening import open_arena
from workers.arenas.sampling import make_uniforms, sample
from workers.arenas.texts import make_prompts
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train

_SIDE, _REPEATS = 1024, 50


def profile(cell: Cell, cache: Path) -> dict[str, Any]:
    torch.set_num_threads(1)
    order, document = cell.order(), cell.document
    task: Any = open_arena(document, torch.device("cpu"), cache).open(cell.base_policy, cell.draw)
    graph = read_graph(order.graph)
    step = order.setting.model_copy(update={"steps": 1}).setting()
    with FlopCounterMode(display=False) as counted:
        train(task, Program(graph), graph.family, step, Optimisation.of(document["recipe"]))
    prompts = make_prompts(document["recipe"]["evaluation_texts"], 0)
    uniforms = make_uniforms(len(prompts), 0)
    return {
        "flop_per_step": counted.get_total_flops(),
        "peak_flop_per_s": find_peak(),
        "measuring_s": _time(task.measure),
        "sampling_s": _time(lambda: sample(task.policy.model, prompts, uniforms, keep_logits=True)),
    }


def find_peak() -> float:
    """Floating-point operations a second of a large product of matrices, the best of some."""
    left, right = torch.rand(_SIDE, _SIDE), torch.rand(_SIDE, _SIDE)
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        torch.mm(left, right)
        seconds.append(time.perf_counter() - started)
    return 2 * _SIDE**3 / min(seconds)


def _time(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
