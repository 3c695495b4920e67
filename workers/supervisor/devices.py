"""Which devices trainings run on: as set, or what is found without torch, which would take seconds and a context."""

import importlib.metadata
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

from discovery_service.errors import UsageError
from discovery_service.settings import MachineSettings, WorkerSettings
from workers.supervisor import memory
from workers.supervisor.processors import count_processors

SEARCH_PATH = f"{os.defpath}:/usr/local/bin:/usr/local/nvidia/bin"
DEVICE_FILES = Path("/dev")
_ASK_WITHIN_S = 10.0
_NONE = ("", "-1", "none", "NoDevFiles")


@dataclass(frozen=True)
class Device:
    kind: str
    """cpu or cuda."""
    visible: str = ""
    """What CUDA_VISIBLE_DEVICES has to say for just this card: a number, or the name of a card or of a part of one."""
    model: str | None = None

    @property
    def name(self) -> str:
        """What torch calls it in a process that sees no other card."""
        return "cpu" if self.kind == "cpu" else "cuda:0"

    def document(self) -> dict[str, Any]:
        """For the fleet."""
        return {"kind": self.kind, "card": self.visible or None, "model": self.model}


CPU = Device("cpu")


def assign_devices(settings: WorkerSettings, machine: MachineSettings) -> list[Device]:
    """A device for each slot. Raises UsageError for cards that are not there."""
    cards = _find_wanted_cards(settings.devices, machine)
    if not cards:
        fitting = memory.count_fitting(settings.memory_bytes)
        return [CPU] * (settings.slots or min(count_processors(), fitting))
    return [cards[slot % len(cards)] for slot in range(settings.slots or len(cards))]


def find_card_share(device: Device, devices: Sequence[Device]) -> float:
    """What part of its card a slot has, if the others of the list are all that use it."""
    return 1.0 if device.kind == "cpu" else 1 / devices.count(device)


def _find_wanted_cards(wanted: str, machine: MachineSettings) -> list[Device]:
    if wanted == "cpu" or (wanted == "auto" and not _can_torch_use_cards()):
        return []
    cards = find_cards(machine.cuda_visible_devices)
    if wanted.startswith("cuda") and not cards:
        raise UsageError(
            f"DISCOVERY__WORKER__DEVICES is {wanted}, but no card is seen here: look at nvidia-smi and at"
            " CUDA_VISIBLE_DEVICES, or set it to cpu."
        )
    if ":" not in wanted:
        return cards
    numbers = [int(each.partition(":")[2]) for each in wanted.split(",")]
    if missing := [number for number in numbers if number >= len(cards)]:
        raise UsageError(f"DISCOVERY__WORKER__DEVICES names cuda:{missing[0]}, but only {len(cards)} are seen here.")
    return [cards[number] for number in numbers]


def find_cards(visible: str | None) -> list[Device]:
    """Those of this machine, in its order; of them, where CUDA_VISIBLE_DEVICES is set, those that it names."""
    listed = _list_cards()
    if visible is None:
        return [Device("cuda", str(number), model) for number, (_, model) in enumerate(listed)]
    named = visible.split(",")
    models = {str(number): model for number, (_, model) in enumerate(listed)} | dict(listed)
    # As CUDA itself does, whatever stands behind an entry that means none is not looked at.
    until = next((place for place, each in enumerate(named) if each.strip() in _NONE), len(named))
    return [Device("cuda", each.strip(), models.get(each.strip())) for each in named[:until]]


def _list_cards() -> list[tuple[str, str | None]]:
    """Name and model of each. Raises UsageError where there are some, but their driver does not answer."""
    files = sorted(DEVICE_FILES.glob("nvidia[0-9]*"))
    program = which("nvidia-smi", path=SEARCH_PATH)
    if program is None:
        return [(each.name, None) for each in files]
    command = [program, "--query-gpu=uuid,name", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_WITHIN_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        if not files:
            return []
        # Without a word the worker would train on its processor.
        raise UsageError(
            f"This machine has {files[0]}, but nvidia-smi tells of no card: {str(error).rstrip('.')}. See to the"
            " driver, or set DISCOVERY__WORKER__DEVICES to cpu."
        ) from error
    pairs = (line.partition(", ") for line in told.stdout.splitlines() if line.strip())
    return [(uuid, model) for uuid, _, model in pairs]


def _can_torch_use_cards() -> bool:
    """A build for processors alone says so in its version."""
    try:
        return not importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return False
