"""The zygote: it ends with its parent, starts again when it was lost, and holds nothing of what candidates wrote."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from discovery_service.domain.isolation import Level
from discovery_service.local.guard import find_children
from tests.jail.conftest import OUR_SECRET, run_source, zygote_command
from tests.local.processes import is_alive
from tests.waiting import wait_until
from workers.jail.lockdown import JAIL_ID
from workers.supervisor.jail import Jail, JailUnavailable

SLEEP = "import time\ntime.sleep(1000)"
SUPERVISOR = """
import sys
from workers.supervisor.jail import Jail
with Jail(command=sys.argv[1:]) as jail:
    print(jail.zygote_pid, flush=True)
    jail.run("unchecked", {"source": "import time\\ntime.sleep(1000)"}, wall_s=1000)
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into an undumpable process")


ORDER = """
import torch
from workers.jail.jobs import load_jobs
happened = []
backward, stand_in = torch.Tensor.backward, torch._C._ensureCUDADeviceGuardSet
torch.Tensor.backward = lambda *given, **named: (happened.append("autograd"), backward(*given, **named))[1]
torch._C._ensureCUDADeviceGuardSet = lambda: (happened.append("stand-in"), stand_in())[1]
load_jobs()
assert happened.index("autograd") < happened.index("stand-in"), happened
"""


def find_child(jail: Jail) -> int | None:
    """The child that runs, once it is locked."""
    zygote = jail.zygote_pid
    for child in find_children().get(zygote, []) if zygote is not None else []:
        if _status(child).get("Seccomp") == "2":
            return child
    return None


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_a_killed_parent_leaves_neither_zygote_nor_child() -> None:
    command = [sys.executable, "-c", SUPERVISOR, *zygote_command()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        zygote = int(supervisor.stdout.readline())
        (child,) = wait_until(lambda: find_children().get(zygote))
        supervisor.kill()
    wait_until(lambda: not is_alive(zygote) and not is_alive(child))


def test_a_closed_jail_leaves_neither_zygote_nor_descriptors() -> None:
    before = os.listdir("/proc/self/fd")
    with Jail(command=zygote_command()) as jail:
        zygote = jail.zygote_pid
        assert zygote is not None
        assert is_alive(zygote)
    assert not is_alive(zygote)
    assert os.listdir("/proc/self/fd") == before
    with pytest.raises(JailUnavailable, match="not open"):
        run_source(jail, "RESULT = 1")


def test_a_zygote_outlives_the_thread_that_opened_its_jail() -> None:
    """The kernel's signal at a parent's death comes when the thread ends that made the process."""
    jail = Jail(command=zygote_command())
    with ThreadPoolExecutor(1) as short:
        short.submit(jail.__enter__).result()
    try:
        zygote = jail.zygote_pid
        assert run_source(jail, "RESULT = 1").answer == {"result": "1"}
        assert jail.zygote_pid == zygote
    finally:
        jail.__exit__()


def test_threads_may_share_a_jail(jail: Jail) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = threads.map(lambda number: run_source(jail, f"RESULT = {number}").answer, range(40))
    assert list(answers) == [{"result": str(number)} for number in range(40)]


def test_autograd_runs_before_a_stand_in_for_cuda_gives_it_threads() -> None:
    """In a CUDA build that sees no device it would start eight, and no child could be forked any more."""
    subprocess.run([sys.executable, "-c", ORDER], check=True)


def test_a_lost_zygote_is_replaced_and_proved_anew(own_jail: Jail) -> None:
    lost = own_jail.zygote_pid
    assert lost is not None
    os.kill(lost, signal.SIGKILL)
    assert run_source(own_jail, "RESULT = 1").answer == {"result": "1"}
    assert own_jail.zygote_pid != lost
    assert own_jail.isolation.level is Level.FULL


def test_a_job_whose_zygote_is_killed_is_done_by_another(own_jail: Jail) -> None:
    zygote = own_jail.zygote_pid
    assert zygote is not None
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(run_source, own_jail, "import time\ntime.sleep(2)\nRESULT = 1", wall_s=60.0)
        child = wait_until(lambda: find_child(own_jail))
        os.kill(zygote, signal.SIGKILL)
        assert running.result().answer == {"result": "1"}
    assert own_jail.zygote_pid != zygote
    assert not is_alive(child)


def test_a_zygote_that_dies_at_every_job_is_our_fault_after_the_second() -> None:
    with Jail(command=zygote_command("dying")) as jail, pytest.raises(JailUnavailable, match="zygote has ended"):
        run_source(jail, "RESULT = 1")


def test_a_child_that_is_killed_from_outside_is_not_refused(own_jail: Jail) -> None:
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(run_source, own_jail, SLEEP, wall_s=60.0)
        for _ in range(2):
            child = wait_until(lambda: find_child(own_jail))
            os.kill(child, signal.SIGKILL)
            wait_until(lambda child=child: not is_alive(child))  # type: ignore[misc]
        with pytest.raises(JailUnavailable, match="killed from outside"):
            running.result()


def test_an_interrupted_job_leaves_nothing_to_the_next_one(own_jail: Jail) -> None:
    """What a time limit of a task does: it raises wherever the process just is."""

    class TimeLimit(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise TimeLimit

    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(TimeLimit):
            run_source(own_jail, SLEEP, wall_s=60.0)
    finally:
        signal.signal(signal.SIGALRM, former)
    assert run_source(own_jail, "RESULT = 1").answer == {"result": "1"}


def test_a_job_that_is_unknown_is_the_callers_mistake(jail: Jail) -> None:
    with pytest.raises(ValueError, match="no job nonsense, only canary, lacking, unchecked"):
        jail.run("nonsense", {})


@as_root
def test_a_locked_child_as_the_kernel_sees_it(jail: Jail) -> None:
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(run_source, jail, SLEEP, wall_s=1.0)
        child = wait_until(lambda: find_child(jail))
        status, proc = _status(child), Path(f"/proc/{child}")
        seen = {
            "descriptors": sorted(os.listdir(proc / "fd")),
            "environment": (proc / "environ").read_bytes(),
            "limits": (proc / "limits").read_text(),
            "score": (proc / "oom_score_adj").read_text().strip(),
            "session": os.getsid(child),
        }
        running.result()
    assert status["Uid"].split() == [str(JAIL_ID)] * 4
    assert status["Gid"].split() == [str(JAIL_ID)] * 4
    assert status["Groups"] == ""
    assert (status["NoNewPrivs"], status["Threads"]) == ("1", "1")
    assert {int(status[name], 16) for name in status if name.startswith("Cap") and name != "CapBnd"} == {0}
    assert seen["descriptors"] == ["0", "1", "2"]
    assert OUR_SECRET.encode() not in seen["environment"]
    assert seen["score"] == "1000"
    assert seen["session"] == child
    for limit in ("Max processes", "Max file size", "Max core file size"):
        (line,) = (line for line in str(seen["limits"]).splitlines() if line.startswith(limit))
        assert line.removeprefix(limit).split()[:2] == ["0", "0"]


@as_root
def test_the_zygote_never_holds_a_candidates_text(jail: Jail) -> None:
    marker = "-".join(["a marker that", "is in no file"])
    assert run_source(jail, f"RESULT = '{marker}' * 1000").answer == {"result": (marker * 1000)[:400]}
    assert jail.zygote_pid is not None
    assert not _holds(jail.zygote_pid, marker.encode())
    assert _holds(os.getpid(), marker.encode())


def _holds(pid: int, text: bytes) -> bool:
    """Whether the process has the text in memory that it may write to."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(each, 16) for each in place.split("-"))
                memory.seek(start)
                if text in memory.read(end - start):
                    return True
    return False
