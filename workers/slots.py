"""The slots of one evaluate worker: a runtime each, on a device of its own, taken by one task at a time."""

import atexit
import os
import queue
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from discovery_service.settings import MachineSettings, Settings, get_settings
from workers.supervisor.devices import Device, assign_devices, find_card_share
from workers.supervisor.memory import share_memory
from workers.supervisor.outcome import Limits
from workers.supervisor.runtime import Runtime

COMMAND = (sys.executable, "-I", "-m", "workers.runtime.process")

# Nothing of ours: neither database nor broker nor key. Libraries take the number of their threads when they load.
ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "USER": "runtime",
    # Importing torch makes this directory; one in /tmp otherwise.
    "TORCHINDUCTOR_CACHE_DIR": "/",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Models are folders of this machine; nothing is ever looked for elsewhere.
    "HF_HUB_OFFLINE": "1",
    # Without it products of matrices on a card come out otherwise from time to time.
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}

_SHARE_KEPT_WARM = 0.4


class Slots:
    """As many as there are devices; the pool of tasks has a thread for each, so nobody waits long for one."""

    def __init__(self, devices: Sequence[Device], runtimes: Sequence[Runtime], limits: Limits) -> None:
        self.devices, self.limits = devices, limits
        self._runtimes = tuple(runtimes)
        # The one that was given back last is the warmest.
        self._free: queue.LifoQueue[Runtime] = queue.LifoQueue()
        for runtime in reversed(self._runtimes):
            self._free.put(runtime)

    @contextmanager
    def take(self) -> Iterator[Runtime]:
        """A free one, as soon as there is one."""
        runtime = self._free.get()
        try:
            yield runtime
        finally:
            self._free.put(runtime)

    def close(self) -> None:
        for runtime in self._runtimes:
            runtime.__exit__()


def make_slots(settings: Settings, machine: MachineSettings, command: Sequence[str]) -> Slots:
    """Nothing is started yet: a runtime starts with its first task."""
    devices = assign_devices(settings.worker, machine)
    memory_bytes = settings.worker.memory_bytes or share_memory(len(devices))
    warm_bytes = int(memory_bytes * _SHARE_KEPT_WARM)
    options = ("--cache", str(settings.arena_cache.absolute()), "--warm-bytes", str(warm_bytes))
    runtimes = []
    for device in devices:
        share = str(find_card_share(device, devices))
        line = (*command, "--device", device.name, "--card-share", share, *options)
        runtimes.append(Runtime(line, make_environment(device, machine)))
    limits = Limits(
        evaluation_s=settings.worker.evaluation_s, stall_s=settings.worker.stall_s, memory_bytes=memory_bytes
    )
    return Slots(devices, runtimes, limits)


def make_environment(device: Device, machine: MachineSettings) -> dict[str, str]:
    environment = ENVIRONMENT | {"CUDA_VISIBLE_DEVICES": device.visible}
    if machine.cuda_device_order is not None:
        environment["CUDA_DEVICE_ORDER"] = machine.cuda_device_order
    elif machine.cuda_visible_devices is None:
        # Then cards are counted as nvidia-smi lists them, and CUDA by itself counts the fastest first.
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if machine.ld_library_path is not None:
        environment["LD_LIBRARY_PATH"] = machine.ld_library_path
    return environment


@cache
def get_slots() -> Slots:
    """Those of this process. They end with it, in any case; an orderly end closes them before."""
    slots = make_slots(get_settings(), MachineSettings(), COMMAND)
    atexit.register(slots.close)
    return slots
