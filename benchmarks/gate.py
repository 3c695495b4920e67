"""How long the gate takes on one core, and whether a thousand jobs leave anything behind: `python -m benchmarks.gate`.

From source to verdict with execution check, probes and twins against 1,000 archived losses, beside a cold process that
imports torch and traces one loss; then what a campaign's candidate pays in all, with its row and its archive in
PostgreSQL. Prints a table and the targets; with `--json` the same as one line of JSON.
"""

import argparse
import json
import operator
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.campaign import fill, make_fingerprints, running_database
from discovery_service.db.tables import Candidate
from discovery_service.domain.families import Family
from discovery_service.domain.states import CandidateStatus
from discovery_service.losses.known import list_known
from workers.gate.archives import library_archive
from workers.gate.candidate import judge_candidate
from workers.gate.road import Submission, pass_gate
from workers.gate.twins import Archive
from workers.process import get_sessions
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
TARGETS = {
    "verdict_median_s": (operator.le, 0.150),
    "verdict_p95_s": (operator.le, 0.300),
    "cold_over_median": (operator.ge, 18),
    "zygote_bytes": (operator.le, 400e6),
    "zygote_bytes_grown": (operator.le, 10e6),
    "descriptors_grown": (operator.le, 0),
    "processes_grown": (operator.le, 0),
}

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a table")
    as_json = parser.parse_args().json
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with Jail() as jail:
        level = jail.isolation.level.value
        figures = _measure_verdicts(jail) | _measure_candidates(jail) | _measure_leaks(jail)
    is_met = {name: bool(holds(figures[name], limit)) for name, (holds, limit) in TARGETS.items()}
    if as_json:
        machine = {"python": platform.python_version(), "cores": 1}
        told = {"benchmark": "gate", "machine": machine, "isolation": level, **figures, "targets_met": is_met}
        print(json.dumps(told))
        return
    print(f"{'isolation':26}{level:>14}")
    for name, figure in figures.items():
        limit = f"  target {TARGETS[name][1]:.4g}: {'met' if is_met[name] else 'MISSED'}" if name in TARGETS else ""
        print(f"{name:26}{figure:>14.4g}{limit}")


def _measure_verdicts(jail: Jail) -> Figures:
    library, strangers = library_archive(Family.PAIRWISE), Archive(make_fingerprints(ARCHIVED))
    archive = Archive.join([library, strangers])

    def judge(source: str) -> None:
        verdict = pass_gate(jail, Submission(source, Family.PAIRWISE), archive)
        if not verdict.is_accepted:
            raise SystemExit(f"refused: {verdict.refusals[0].message}")

    taken = [_time(partial(judge, known.text)) for known in list_known(Family.PAIRWISE) * REPEATS]
    median = statistics.median(taken)
    cold = statistics.median(_time(_run_cold) for _ in range(COLD_REPEATS))
    return {
        "verdicts": len(taken),
        **_summarise("verdict", taken),
        "cold_s": cold,
        "cold_over_median": cold / median,
        "zygote_bytes": jail.zygote_rss_bytes or 0,
    }


def _measure_candidates(jail: Jail) -> Figures:
    """Claimed, read, compared and written: with two transactions more, heartbeats, and the archive of the process."""
    with running_database():
        worker_id, waiting = fill(make_fingerprints(ARCHIVED), list_known(Family.PAIRWISE) * REPEATS)
        taken = [_time(partial(judge_candidate, jail, worker_id, each)) for each in waiting]
        with get_sessions()() as session:
            if any(session.get_one(Candidate, each).status is not CandidateStatus.ACCEPTED for each in waiting):
                raise SystemExit("A candidate was not accepted.")
    # The first one brings the archive into the process.
    return {"first_candidate_s": taken[0], **_summarise("candidate", taken[1:])}


def _summarise(name: str, taken: Sequence[float]) -> Figures:
    ordered = sorted(taken)
    return {f"{name}_median_s": statistics.median(ordered), f"{name}_p95_s": ordered[int(len(ordered) * 0.95)]}


def _time(do: Callable[[], None]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def _run_cold() -> None:
    subprocess.run([sys.executable, "-c", COLD], check=True)


def _measure_leaks(jail: Jail) -> Figures:
    """What grew over many mixed jobs: here, and in the zygote."""
    sources = [*(known.text for known in list_known(Family.PAIRWISE)), *REFUSED]
    archive = Archive(())
    for source in sources:
        pass_gate(jail, Submission(source, Family.PAIRWISE), archive)
    before = _count_held(jail)
    jobs = 0
    while jobs < JOBS:
        for source in sources:
            pass_gate(jail, Submission(source, Family.PAIRWISE), archive)
            jobs += 3
    return {f"{name}_grown": after - before[name] for name, after in _count_held(jail).items()}


def _count_held(jail: Jail) -> Figures:
    pid = jail.zygote_pid
    if pid is None:
        raise SystemExit("The jail was lost.")
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {
        "zygote_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "processes": len(children),
    }


if __name__ == "__main__":
    main()
