"""The real runtime with an arena of a kind that production never has: `python -I toy.py --device cpu --cache PLACE`.

A policy of a few weights on rows of numbers: it learns, and repeats. A document may carry `faults`, each a dict: `do`
names a function below, `at` where it happens (open, take, measure), `step` from which one on, counted from 0, `size`
how many bytes; with `once`, a file's path, only for the first process that comes there. `rows` is how many a batch has.
"""

import ctypes
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from workers.runtime.process import main

if TYPE_CHECKING:
    import torch

    from discovery_service.domain.measuring import Draw
    from workers.arenas.arena import Batch
    from workers.runtime.process import OpenArena

ROWS, WIDTH = 16, 8
HELD_BYTES = 1 << 20


def document(**changes: Any) -> dict[str, Any]:
    recipe = {
        "warm_up": 2,
        "schedule": "constant",
        "clip": 1.0,
        "adam_betas": [0.9, 0.95],
        "precision": "float32",
    }
    return {"version": 1, "kind": "toy", "name": "toy:mini", "family": "pairwise", "recipe": recipe, **changes}


def nan(toy: "Toy") -> None:
    """Weights that are no numbers; what follows is the trainer's."""
    toy.weight.data.fill_(float("nan"))


def compute(_: "Toy") -> None:
    while True:
        pass


def idle(_: "Toy") -> None:
    signal.pause()


def stop(_: "Toy") -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def die(_: "Toy") -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill_tensors(toy: "Toy") -> None:
    """On its device."""
    import torch

    kept = []
    while True:
        kept.append(torch.ones(1 << 20, device=toy.device))


def fill_lists(_: "Toy") -> None:
    kept: list[object] = []
    while True:
        kept.append(bytearray(1 << 10))


def keep(toy: "Toy", size: int) -> None:
    """What stays warm."""
    toy.kept.append(b"x" * size)


def need(_: "Toy", size: int) -> bytes:
    """For a moment."""
    return b"x" * size


def write_to_stdout(_: "Toy") -> None:
    """In every way that a library has."""
    sys.stdout.write("Epoch 1 of 3\n")
    sys.stdout.flush()
    os.write(1, b"Loading weights: 100%\n")
    subprocess.run(["echo", "a helper"], check=True)
    ctypes.CDLL(None).puts(b"from C")
    ctypes.CDLL(None).fflush(None)


def flood(_: "Toy") -> None:
    """A line without end where the answers go, which none of ours is."""
    for descriptor in os.listdir("/proc/self/fd"):
        if int(descriptor) > 2 and os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:"):
            try:
                for _part in range(100):
                    os.write(int(descriptor), b"x" * 65536)
            except OSError:
                continue


def read_stdin(_: "Toy") -> None:
    if sys.stdin.read() or os.read(0, 1):
        raise AssertionError("it could read what was meant for the channel")


def fault(_: "Toy") -> None:
    raise ValueError("nobody understands this")


def poison(toy: "Toy") -> None:
    """An index out of range: on a card a device-side assertion, after which nothing runs there in this process."""
    import torch

    torch.zeros(1, device=toy.device)[torch.tensor([7], device=toy.device)].cpu()


def lose_the_device(_: "Toy") -> None:
    import torch

    raise torch.AcceleratorError("CUDA error: device-side assert triggered")


class Toy:
    """Arena, task, policy and batches in one."""

    def __init__(self, document: Mapping[str, Any], device: "torch.device") -> None:
        self._faults, self.device = document.get("faults", []), device
        self._rows = document.get("rows", ROWS)
        self._opened: dict[tuple[Any, ...], None] = {}
        self.kept: list[bytes] = []

    def open(self, base_policy: int, draw: "Draw") -> "Toy":
        import torch

        self._act("open", 0)
        self._opened[(base_policy, draw)] = None
        self._seed = hash_text(f"{draw.key} {draw.salt}")
        self._target = self._random(0)[0]
        self.weight = torch.nn.Parameter(torch.full((WIDTH,), 0.01 * base_policy, device=self.device))
        self._taken = 0
        return self

    @property
    def policy(self) -> "Toy":
        return self

    batches = policy

    def parameters(self) -> list[Any]:
        return [self.weight]

    def take(self, _: "Toy") -> "Batch":
        import torch

        from workers.arenas.arena import Batch

        self._act("take", self._taken)
        self._taken += 1
        first, second = self._random(2 * self._taken), self._random(2 * self._taken + 1)
        is_first = (first @ self._target > second @ self._target)[:, None]
        rows = {"chosen": torch.where(is_first, first, second), "rejected": torch.where(is_first, second, first)}
        length = torch.full((self._rows,), 5.0, device=self.device)
        inputs = {
            "reference_chosen_logps": -length,
            "reference_rejected_logps": -length,
            "chosen_lengths": length,
            "rejected_lengths": length,
            "annotator": torch.zeros(self._rows, dtype=torch.int64, device=self.device),
        }
        return Batch(inputs, rows)

    def log_probabilities(self, batch: "Batch") -> dict[str, "torch.Tensor"]:
        return {f"policy_{name}_logps": rows @ self.weight - 5.0 for name, rows in batch.rows.items()}

    def measure(self) -> dict[str, float | None]:
        self._act("measure", 0)
        return {"J": float(self.weight.detach() @ self._target), "pid": float(os.getpid())}

    def held_bytes(self) -> int:
        return HELD_BYTES * len(self._opened) + sum(map(len, self.kept))

    def forget(self, bytes_to_free: int) -> None:
        while bytes_to_free > 0 and self.kept:
            bytes_to_free -= len(self.kept.pop())
        while bytes_to_free > 0 and self._opened:
            del self._opened[next(iter(self._opened))]
            bytes_to_free -= HELD_BYTES

    def _random(self, number: int) -> "torch.Tensor":
        import torch

        generator = torch.Generator().manual_seed(self._seed + number)
        return torch.randn(self._rows, WIDTH, generator=generator).to(self.device)

    def _act(self, at: str, step: int) -> None:
        for each in self._faults:
            if each["at"] == at and step == each.get("step", 0) and _is_first(each.get("once")):
                globals()[each["do"]](self, *([each["size"]] if "size" in each else []))


def _is_first(path: str | None) -> bool:
    if path is None:
        return True
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def hash_text(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def load() -> "OpenArena":
    # What a library prints while it loads.
    sys.stdout.write("Welcome to the toy library!\n")
    return lambda document, device, _: cast(Any, Toy(document, device))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], load))
