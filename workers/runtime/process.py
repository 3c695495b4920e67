"""The warm process that trains: `python -m workers.runtime.process --device cpu --cache DIRECTORY`.

One a slot, started by `workers.supervisor.runtime` and ended with it. It imports torch once, keeps arenas warm, and
does one job after the other as protocol.py says. No candidate's code gets here, only graphs; and no secret either: it
is given an environment of its own, and knows no database, no broker and no API.
"""

import argparse
import contextlib
import gc
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.runtime.channel import Channel

if TYPE_CHECKING:
    import torch

    from workers.arenas.arena import Arena

    OpenArena = Callable[[Mapping[str, Any], torch.device, Path], Arena]

EXIT_NO_DEVICE = 3
WARM_BYTES = 1 << 30
_KILLED_FIRST = "1000"


def load_arenas() -> "OpenArena":
    from workers.arenas.opening import open_arena

    return open_arena


def main(argv: list[str], load: "Callable[[], OpenArena]" = load_arenas) -> int:
    arguments = _parse(argv)
    channel = Channel.take_over()
    channel.listen()
    _leave_the_host_to_others()
    # Only now: what these print while they load must not get between the answers.
    from workers.runtime.device import DeviceMissing, bound_warm_bytes, describe_device, prepare_device
    from workers.runtime.evaluation import evaluate
    from workers.runtime.warm import WarmArenas

    try:
        device = prepare_device(arguments.device, arguments.card_share)
    except DeviceMissing as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_NO_DEVICE
    open_arena = load()
    warm_bytes = bound_warm_bytes(device, arguments.warm_bytes, arguments.card_share)
    arenas = WarmArenas(lambda document: open_arena(document, device, arguments.cache), warm_bytes)
    gc.collect()
    gc.freeze()
    channel.send(describe_device(device, os.getpid()))
    while True:
        channel.send(evaluate(channel.next_order(), arenas, device, channel.send))
        arenas.shrink()


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers.runtime.process", description=__doc__)
    parser.add_argument("--device", required=True, help="cpu, or cuda:0 of the cards that it may see")
    parser.add_argument("--card-share", type=float, default=1.0, help="what part of the card this process has")
    parser.add_argument("--cache", required=True, type=Path, help="where built artefacts are kept")
    parser.add_argument("--warm-bytes", type=int, default=WARM_BYTES, help="what arenas may hold between two jobs")
    return parser.parse_args(argv)


def _leave_the_host_to_others() -> None:
    """A machine that runs out of memory is to kill this process and not its worker."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(_KILLED_FIRST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
