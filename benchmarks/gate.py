"""How long the gate takes on one core, and whether a thousand jobs leave anything behind: `python -m benchmarks.gate`.

From source to verdict with execution check, probes and twins against 1,000 archived losses, beside a cold process that
imports torch and traces one loss. The table goes to stderr, the same figures as JSON to stdout.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from discovery_service.domain.families import Family
from discovery_service.losses.described import list_described
from discovery_service.losses.known import list_known
from workers.gate.road import Submission, pass_gate
from workers.gate.twins import Archive
from workers.supervisor.jail import Jail

ARCHIVED = 1000
REPEATS = 3
COLD_REPEATS = 3
JOBS = 1000
REFUSED = ("import os", "def loss(beta):\n    return beta\n", "def loss(policy_chosen_logps):\n    return 1\n")
COLD = """
import torch
from torch.fx.experimental.proxy_tensor import make_fx
rows = [torch.randn(7, requires_grad=True) for _ in range(4)]
make_fx(lambda a, b, c, d: -torch.nn.functional.logsigmoid(0.1 * (a - b - c + d)), tracing_mode="symbolic")(*rows)
"""


def main() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with Jail() as jail:
        archive = Archive(_archived())
        taken = sorted(
            _time(jail, Submission(known.text, known.family), archive)
            for known in list_known(Family.PAIRWISE) * REPEATS
        )
        cold = [_run_cold() for _ in range(COLD_REPEATS)]
        figures = {
            "losses": len(taken),
            "median_s": statistics.median(taken),
            "p95_s": taken[int(len(taken) * 0.95)],
            "cold_s": statistics.median(cold),
            "cold_over_median": statistics.median(cold) / statistics.median(taken),
            "zygote_bytes": jail.zygote_rss_bytes,
            "isolation": jail.isolation.level.value,
            **_leaks(jail),
        }
    for name, figure in figures.items():
        print(f"{name:24}{figure:>16.4g}" if isinstance(figure, float) else f"{name:24}{figure!s:>16}", file=sys.stderr)
    print(json.dumps({"machine": {"python": platform.python_version(), "cores": 1}, **figures}, indent=2))


def _archived() -> list[tuple[str, bytes]]:
    library = [(name, each.fingerprint) for name, each in list_described(Family.PAIRWISE).items()]
    return [(f"{name} {number}", fingerprint) for number in range(ARCHIVED) for name, fingerprint in library][:ARCHIVED]


def _time(jail: Jail, submission: Submission, archive: Archive) -> float:
    started = time.perf_counter()
    verdict = pass_gate(jail, submission, archive)
    taken = time.perf_counter() - started
    if not verdict.is_accepted:
        raise SystemExit(f"refused: {verdict.refusals[0].message}")
    return taken


def _run_cold() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", COLD], check=True)
    return time.perf_counter() - started


def _leaks(jail: Jail) -> dict[str, int]:
    """What grew over many mixed jobs: here, and in the zygote."""
    sources = [*(known.text for known in list_known(Family.PAIRWISE)), *REFUSED]
    archive = Archive(())
    for source in sources:
        pass_gate(jail, Submission(source, Family.PAIRWISE), archive)
    before = _held(jail)
    jobs = 0
    while jobs < JOBS:
        for source in sources:
            pass_gate(jail, Submission(source, Family.PAIRWISE), archive)
            jobs += 3
    return {f"{name}_grown": after - before[name] for name, after in _held(jail).items()}


def _held(jail: Jail) -> dict[str, int]:
    pid = jail.zygote_pid
    if pid is None:
        raise SystemExit("The jail was lost.")
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {
        "zygote_rss_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "processes": len(children),
    }


if __name__ == "__main__":
    main()
