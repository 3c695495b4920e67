"""What the jail costs, and whether many jobs leave anything behind: `python -m benchmarks.jail [JOBS]`.

The table goes to stderr, the same figures as JSON to stdout.
"""

import json
import os
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

from discovery_service.local.guard import find_descendants
from workers.supervisor.jail import Jail

JOBS = 1_000
REPEATS = 200

# An answer, a child that the filter kills, one short of memory, one that is late, and one that raises.
MIXED = ("fork", "trace", "take_memory", "outstay", "there is no such canary")
LIMITS = {"take_memory": {"memory_bytes": 64 << 20}, "outstay": {"wall_s": 0.1}}


@dataclass(frozen=True)
class Holdings:
    """What a jail and its owner hold on to; jobs may not add to it."""

    zygote_rss_bytes: int
    zygote_descriptors: int | None
    """Only root may count those of an undumpable process."""
    descriptors: int
    processes: int


def count_holdings(jail: Jail) -> Holdings:
    zygote = Path(f"/proc/{jail.zygote_pid}")
    return Holdings(
        zygote_rss_bytes=int((zygote / "statm").read_text().split()[1]) * resource.getpagesize(),
        zygote_descriptors=len(os.listdir(zygote / "fd")) if os.geteuid() == 0 else None,
        descriptors=len(os.listdir("/proc/self/fd")),
        processes=len(find_descendants(os.getpid())),
    )


def run_mixed_jobs(jail: Jail, count: int) -> None:
    for name in islice(cycle(MIXED), count):
        jail.run("canary", {"name": name}, **LIMITS.get(name, {}))  # type: ignore[arg-type]


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    started = time.perf_counter()
    with Jail() as jail:
        start_s = time.perf_counter() - started
        if jail.zygote_pid is None:
            sys.exit(f"There is no jail here: {jail.isolation.reason}")
        seconds = [_time_empty_job(jail) for _ in range(REPEATS)]
        run_mixed_jobs(jail, len(MIXED))
        before = count_holdings(jail)
        started = time.perf_counter()
        run_mixed_jobs(jail, jobs)
        mixed_s = time.perf_counter() - started
        after = count_holdings(jail)
        figures = {
            "level": jail.isolation.level,
            "start and self-test, s": round(start_s, 3),
            "empty job, ms (median)": round(1e3 * statistics.median(seconds), 1),
            "empty job, ms (p95)": round(1e3 * statistics.quantiles(seconds, n=20)[-1], 1),
            f"{jobs} mixed jobs, s": round(mixed_s, 2),
            "before": asdict(before),
            "after": asdict(after),
        }
    for name, value in figures.items():
        print(f"{name:28}  {value}", file=sys.stderr)
    print(json.dumps(figures, indent=2))


def _time_empty_job(jail: Jail) -> float:
    """Fork, lock, one denied call, exit, and both ways through the pipes."""
    started = time.perf_counter()
    jail.run("canary", {"name": "read_directory"})
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
