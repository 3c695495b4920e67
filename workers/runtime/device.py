"""The device of a runtime: torch told to compute on it alone and with one thread, and what the device says it is."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

from discovery_service.domain.measuring import TRAINER
from workers.arenas.machine import describe_machine
from workers.runtime.protocol import Hello

_SHARE_KEPT_WARM = 0.4
# Of a card that several share: each process also has a context there, of some hundred MB, which torch does not count.
_SHARE_FOR_CONTEXTS = 0.1


class DeviceMissing(Exception):
    """The device that was asked for is not there."""


@dataclass(frozen=True)
class Allotment:
    """Of a card to one process."""

    fraction: float
    """Of the whole card, what tensors may take."""
    warm_bytes: int
    """What arenas may keep of that, where a training has to find room too."""


def allot(total_bytes: int, card_share: float) -> Allotment:
    """To one that has the card to itself, or only a part of it: then no other one's job may run into its tensors."""
    fraction = 1.0 if card_share >= 1 else card_share * (1 - _SHARE_FOR_CONTEXTS)
    return Allotment(fraction, int(total_bytes * fraction * _SHARE_KEPT_WARM))


def prepare_device(name: str, card_share: float) -> torch.device:
    """For the whole process, once. Raises DeviceMissing."""
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    try:
        device = torch.device(name)
        if device.type == "cuda":
            count = torch.cuda.device_count()
            if (device.index or 0) >= count:
                raise DeviceMissing(f"The device {name} cannot be used: torch {torch.__version__} sees {count} cards.")
            torch.cuda.set_device(device)
            if card_share < 1:
                fraction = allot(_count_bytes(device), card_share).fraction
                torch.cuda.set_per_process_memory_fraction(fraction, device)
            torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceMissing(f"The device {name} cannot be used: {str(error).splitlines()[0]}") from error
    return device


def bound_warm_bytes(device: torch.device, wanted_bytes: int, card_share: float) -> int:
    """What arenas may keep on it."""
    if device.type != "cuda":
        return wanted_bytes
    return min(wanted_bytes, allot(_count_bytes(device), card_share).warm_bytes)


def _count_bytes(device: torch.device) -> int:
    _, total_bytes = torch.cuda.mem_get_info(device)
    return total_bytes


def describe_device(device: torch.device, pid: int) -> Hello:
    machine = describe_machine()
    # A virtual machine may hide instructions of its processor, and without them sums come out otherwise. On a card the
    # processor has its say too: it makes the pairs.
    model = f"{machine['processor']}, {machine['instructions']}"
    if device.type == "cuda":
        model = f"{torch.cuda.get_device_name(device)} beside {model}"
    return Hello(
        pid=pid,
        torch=str(torch.__version__),
        transformers=version("transformers"),
        peft=_find_peft(),
        trainer=TRAINER,
        device=device.type,
        model=model,
    )


def _find_peft() -> str | None:
    """Its version, without the seconds that importing it takes."""
    try:
        return version("peft")
    except PackageNotFoundError:
        return None
