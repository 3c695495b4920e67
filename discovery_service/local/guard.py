"""The parent of one process of the local stack: nothing below it outlives it or whoever started it.

Covered: any death of the starter (stdin ends); descendants that left the group or the session; the guard's own
`kill -9`, which takes the main child along. Not covered: what the main child had started when the guard was killed
with -9; the supervisor inherits and kills it. Runs as a file under `-I -S` on the standard library alone, because every
child of the stack has one: 25 ms, 10 MB.
"""

import argparse
import contextlib
import ctypes
import os
import pwd
import select
import signal
import sys
import time
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
COULD_NOT_START = 127


def prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"prctl({option}): {os.strerror(errno)}")


def become_subreaper() -> None:
    """Make every orphan among this process's descendants its own child."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def find_children() -> dict[int, list[int]]:
    """The children of every process of the machine."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    parent = int(stat.read().rpartition(b")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(name))
    return children


def find_descendants(root: int) -> list[int]:
    """Every process below `root`, parents first."""
    children = find_children()
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found[1:]


def send(pid: int, signal_number: int) -> None:
    """Send a signal to a process that may have ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal_number)


def kill_tree(root: int) -> None:
    """Kill `root`, unless it is this process, and everything below it."""
    for pid in [root, *find_descendants(root)]:
        if pid != os.getpid():
            send(pid, signal.SIGKILL)


def become(argv: list[str], guard: int, user: str | None, directory: str | None) -> NoReturn:
    """Turn the forked child into the guarded program."""
    for number in (*STOP_SIGNALS, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.setpgid(0, 0)
    if directory is not None:
        # While still root: the account need not pass through the parents to work in its own directory.
        os.chdir(directory)
    if user is not None:
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    # Last, for a change of user clears it.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(COULD_NOT_START)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted


def start(options: argparse.Namespace) -> int:
    """Start the guarded program and return its process id."""
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            become(options.argv, guard, options.user, options.chdir)
        except OSError as error:
            os.write(2, f"Cannot start {options.argv[0]}: {error}\n".encode())
        finally:
            os._exit(COULD_NOT_START)
    return child


def reap(child: int) -> int | None:
    """Reap whatever has ended; the exit status of `child` if it was among them."""
    status = None
    while True:
        try:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            code = os.waitstatus_to_exitcode(wait_status)
            status = code if code >= 0 else 128 - code


def guard_until_end(child: int, *, stop_signal: int, grace_s: float, wake: int) -> int | None:
    """Wait for the child; once stdin ends or a stop signal comes, ask it to stop and give it `grace_s`.

    Returns its exit status, None when it had not ended in time.
    """
    watched = [0, wake]
    deadline: float | None = None
    while True:
        status = reap(child)
        if status is not None:
            return status
        timeout_s = None if deadline is None else deadline - time.monotonic()
        if timeout_s is not None and timeout_s <= 0:
            return None
        readable, _, _ = select.select(watched, [], [], timeout_s)
        stop = False
        if 0 in readable and not os.read(0, 1024):
            watched.remove(0)
            stop = True
        if wake in readable:
            stop = stop or any(number in STOP_SIGNALS for number in os.read(wake, 1024))
        if stop and deadline is None:
            deadline = time.monotonic() + grace_s
            send(child, stop_signal)


def kill_rest() -> None:
    """Kill and reap every descendant that is left, also those that fork while they die."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        kill_tree(os.getpid())
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="guard", description=__doc__)
    parser.add_argument("--user", help="account to run as; the guard itself keeps its own")
    parser.add_argument("--chdir", help="directory to work in, entered before the account changes")
    parser.add_argument("--stop-signal", default="SIGTERM", type=lambda name: signal.Signals[name])
    parser.add_argument("--grace", default=3.0, type=float, help="seconds between the stop signal and SIGKILL")
    parser.add_argument("argv", nargs="+", metavar="COMMAND")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = parse(argv)
    become_subreaper()
    wake, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    for number in (*STOP_SIGNALS, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    child = start(options)
    status = guard_until_end(child, stop_signal=options.stop_signal, grace_s=options.grace, wake=wake)
    kill_rest()
    return 128 + signal.SIGKILL if status is None else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
