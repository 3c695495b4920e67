"""Compares a card with the processor beside it and writes docs/gpu.md: `make gpu-check`, or `python -m tests.gpu`."""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.worlds import ArenaSize
from discovery_service.losses.operators import OPERATORS
from tests.gpu.agreement import Arenas, examine, list_losses
from tests.gpu.operators import survey
from tests.gpu.page import Machine, Results, render
from tests.gpu.slots import EVALUATIONS, measure_rates, provoke_faults
from workers.arenas.machine import describe_machine
from workers.runtime.process import EXIT_NO_DEVICE
from workers.slots import ENVIRONMENT
from workers.supervisor.devices import CPU, Device, find_cards

PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"


@dataclass(frozen=True)
class Extent:
    losses: Sequence[str] = ()
    """All of the library unless some are named."""
    operators: Sequence[str] = tuple(OPERATORS)
    sizes: Sequence[ArenaSize] = tuple(ArenaSize)
    evaluations: int = EVALUATIONS


QUICK = Extent(tuple(REFERENCE_LOSSES.values()), ("aten.exp.default",), (ArenaSize.MINI,), 1)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--quick", action="store_true", help="one loss a family, one operation, size mini; writes nothing"
    )
    arguments = parser.parse_args(argv)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        _say(f"There is no CUDA device here (torch {torch.__version__} sees none): nothing was checked.")
        return EXIT_NO_DEVICE
    _compute_as_a_runtime()
    device = CPU if arguments.device == "cpu" else find_cards(os.environ.get("CUDA_VISIBLE_DEVICES"))[0]
    with tempfile.TemporaryDirectory(prefix="gpu") as cache:
        results = check(device, Path(cache), QUICK if arguments.quick else Extent())
    page = render(results, datetime.now(UTC).date())
    if device is CPU or arguments.quick:
        _say(page)
    else:
        PAGE.write_text(page)
        _say(f"{PAGE} is written.")
    for fault in results.find_faults():
        _say(fault)
    return 1 if results.find_faults() else 0


def check(device: Device, cache: Path, extent: Extent) -> Results:
    torch_device = torch.device(device.name)
    arenas = Arenas(torch_device, cache)
    losses = []
    for loss in list_losses(extent.losses):
        _say(f"loss {loss.name}")
        losses.append(examine(loss, torch_device, arenas))
    _say("operations")
    surveyed = survey(torch_device, extent.operators)
    _say("faults")
    faults = provoke_faults(device, cache)
    _say("evaluations an hour")
    rates = measure_rates(device, extent.sizes, cache, extent.evaluations)
    return Results(_describe(device), losses, surveyed, faults, rates)


def _compute_as_a_runtime() -> None:
    torch.set_num_threads(1)
    # cuBLAS reads it when a card is first used.
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ENVIRONMENT["CUBLAS_WORKSPACE_CONFIG"]


def _describe(device: Device) -> Machine:
    processor = str(describe_machine()["processor"])
    card = processor if device is CPU else torch.cuda.get_device_name()
    return Machine(card, f"{processor}, {platform.system()}", torch.__version__, str(torch.version.cuda))


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
