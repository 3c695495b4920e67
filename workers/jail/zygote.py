"""The fork server: `python -I -m workers.jail.zygote DESCRIPTOR PARENT`, started by `workers.supervisor.zygote`.

Imports and warms everything a job needs with one thread, then forks a locked child for each order and ends it at its
wall time. It never sees a request or an answer. It ends when its parent does, with the child that runs.
"""

import contextlib
import gc
import logging
import math
import os
import resource
import select
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable, Mapping

from workers.jail.child import JobFunction, run_child
from workers.jail.jobs import load_jobs
from workers.jail.kernel import PR_SET_DUMPABLE, prctl
from workers.jail.lockdown import die_with
from workers.jail.messages import KILL, MESSAGE_BYTES, ORDER_DESCRIPTORS, Ended, Hello, Order

KILLED_FIRST = "1000"
_KIB = 1024


def main(argv: list[str], load: Callable[[], Mapping[str, JobFunction]] = load_jobs) -> int:
    descriptor, parent = int(argv[0]), int(argv[1])
    die_with(parent)
    with socket.socket(fileno=descriptor) as control, contextlib.suppress(ConnectionError):
        os.set_inheritable(descriptor, False)
        _leave_the_host_to_others()
        try:
            jobs = _warm(load)
        except Exception as error:  # noqa: BLE001 - whatever a job's module raises, the parent is to know
            control.send(Hello(f"{type(error).__name__}: {error}"[:2_000], [], None, 0).encode())
            return 1
        control.send(Hello(None, sorted(jobs), _torch_version(), _rss_bytes()).encode())
        _serve(control, jobs)
    return 0


def _leave_the_host_to_others() -> None:
    # While it may be written: of an undumpable process root owns it. Children inherit it, so that a machine that runs
    # out of memory kills the jail and not its worker.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(KILLED_FIRST)
    prctl(PR_SET_DUMPABLE, 0)


def _warm(load: Callable[[], Mapping[str, JobFunction]]) -> Mapping[str, JobFunction]:
    # Each child's log is bounded, and torch tells a story of every call that fails.
    warnings.simplefilter("ignore")
    logging.disable()
    # Nearly all of it stays: the collector would look at it again and again, for a tenth of the time that this takes.
    gc.disable()
    jobs = load()
    gc.collect()
    gc.freeze()
    gc.enable()
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        # A fork copies one thread and the locks that the others held.
        raise RuntimeError(f"the zygote has {threads} threads after its warm-up and must have one")
    return jobs


def _serve(control: socket.socket, jobs: Mapping[str, JobFunction]) -> None:
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, ORDER_DESCRIPTORS)
        if not message:
            return
        if message == KILL:  # for a child that has ended meanwhile
            continue
        order = Order.decode(message)
        control.send(_run_order(control, order, jobs[order.job], descriptors).encode())


def _run_order(control: socket.socket, order: Order, job: JobFunction, descriptors: list[int]) -> Ended:
    started, zygote = time.monotonic(), os.getpid()
    pid = os.fork()
    if pid == 0:
        run_child(order, job, descriptors, zygote)
    for descriptor in descriptors:
        os.close(descriptor)
    handle = os.pidfd_open(pid)
    try:
        was_late = _watch(control, handle, started + order.wall_s)
        waited_s = _read_waited_s(pid) if was_late else 0.0
    finally:
        os.close(handle)
        _kill(pid)
    _, status, usage = os.wait4(pid, 0)
    return Ended(
        status=status,
        was_late=was_late,
        cpu_s=usage.ru_utime + usage.ru_stime,
        wall_s=time.monotonic() - started,
        max_rss_bytes=usage.ru_maxrss * _KIB,
        waited_s=waited_s,
    )


def _watch(control: socket.socket, handle: int, deadline: float) -> bool:
    """Until the child has ended or is to be killed; whether that is because it took too long."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(handle, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        ready = [descriptor for descriptor, _ in poll.poll(math.ceil(left * 1000))]
        if handle in ready:
            return False
        if ready:
            if not control.recv(MESSAGE_BYTES):
                raise ConnectionError("the supervisor is gone")
            return False
    return True


def _read_waited_s(pid: int) -> float:
    path = f"/proc/{pid}/schedstat"
    if not os.path.exists(path):  # a kernel without CONFIG_SCHED_INFO
        return 0.0
    with open(path, "rb") as schedstat:
        return int(schedstat.read().split()[1]) / 1e9


def _kill(pid: int) -> None:
    """The child, which is not reaped yet, and its group: without a lock it might have started others."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise RuntimeError("a child of another uid cannot be ended without CAP_KILL") from error


def _torch_version() -> str | None:
    torch = sys.modules.get("torch")
    return None if torch is None else str(torch.__version__)


def _rss_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
