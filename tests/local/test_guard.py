"""The guard's promise: nothing below it outlives it or whoever started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from discovery_service.local import guard, guarded
from tests.local.processes import is_alive
from tests.waiting import wait_until

IGNORES_SIGTERM = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
)
ENDS_ON = (
    "import signal, sys; signal.signal(signal.{}, lambda *_: sys.exit(7)); print('up', flush=True); signal.pause()"
)
WITH_DAEMON = """
import os, signal, sys
if os.fork() == 0:
    os.setsid()
    daemon = os.fork()
    if daemon == 0:
        signal.pause()
    print(daemon, flush=True)
    os._exit(0)
os.wait()
{then}
"""


def start(code: str, *, grace_s: float = 5.0, **options: object) -> subprocess.Popen[bytes]:
    program = guarded.Program("test", (sys.executable, "-c", code), {}, grace_s=grace_s, **options)  # type: ignore[arg-type]
    return guarded.spawn(program, subprocess.PIPE)


def read_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def only_child(pid: int) -> int:
    (child,) = wait_until(lambda: guard.find_children().get(pid, []))
    return child


def test_end_of_stdin_sends_the_stop_signal() -> None:
    process = start(ENDS_ON.format("SIGINT"), stop_signal=signal.SIGINT)
    read_line(process)
    guarded.ask_to_stop(process)
    assert process.wait() == 7


def test_sigterm_to_the_guard_stops_the_program_too() -> None:
    process = start(ENDS_ON.format("SIGTERM"))
    read_line(process)
    process.terminate()
    assert process.wait() == 7


def test_a_program_that_ignores_the_stop_signal_is_killed_after_the_grace() -> None:
    process = start(IGNORES_SIGTERM, grace_s=0.1)
    read_line(process)
    guarded.ask_to_stop(process)
    assert process.wait() == 128 + signal.SIGKILL


@pytest.mark.parametrize(("then", "status"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 128 + 9)])
def test_what_a_program_leaves_behind_dies_with_it_and_its_status_is_told(then: str, status: int) -> None:
    process = start(WITH_DAEMON.format(then=then))
    daemon = int(read_line(process))
    assert process.wait() == status
    assert not is_alive(daemon)


def test_a_daemon_in_its_own_session_dies_when_the_starter_goes() -> None:
    process = start(WITH_DAEMON.format(then="signal.pause()"))
    daemon = int(read_line(process))
    guarded.ask_to_stop(process)
    process.wait()
    assert not is_alive(daemon)


def test_kill_9_of_the_starter_takes_everything_along() -> None:
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal, sys; from discovery_service.local import guarded\n"
            f"program = guarded.Program('test', (sys.executable, '-c', {IGNORES_SIGTERM!r}), {{}}, grace_s=0.1)\n"
            "process = guarded.spawn(program, 1)\n"
            "print(process.pid, flush=True); signal.pause()",
        ],
        stdout=subprocess.PIPE,
    )
    lines = {read_line(starter), read_line(starter)}
    guard_pid = int((lines - {"up"}).pop())
    program_pid = only_child(guard_pid)
    starter.kill()
    starter.wait()
    wait_until(lambda: not is_alive(guard_pid) and not is_alive(program_pid))


@pytest.mark.parametrize("user", [None, "nobody"])
def test_kill_9_of_the_guard_takes_the_program_along(user: str | None) -> None:
    if user is not None and os.geteuid() != 0:
        pytest.skip("only root can change the account")
    program = guarded.Program("test", ("/bin/sleep", "1000"), {}, user=user)
    process = guarded.spawn(program, subprocess.DEVNULL)
    wait_until(lambda: Path(f"/proc/{only_child(process.pid)}/comm").read_text() == "sleep\n")
    child = only_child(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: not is_alive(child))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the account")
def test_as_another_account_nothing_of_root_remains_and_the_directory_is_still_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    program = guarded.Program(
        "test",
        ("/bin/sh", "-c", "id -u; id -g; id -G; pwd -P"),
        {"PATH": os.defpath},
        user="nobody",
        directory=tmp_path,
    )
    process = guarded.spawn(program, subprocess.PIPE)
    uid, gid, groups, directory = (read_line(process) for _ in range(4))
    assert uid == "65534"
    assert gid == groups != "0"
    assert directory == str(tmp_path)
    assert process.wait() == 0


def test_the_guard_holds_descriptors_that_its_program_does_not_get() -> None:
    read_end, write_end = os.pipe()
    program = guarded.Program("test", ("/bin/ls", "/proc/self/fd"), {})
    process = guarded.spawn(program, subprocess.PIPE, hold_fds=(write_end,))
    assert process.stdout is not None
    assert str(write_end) not in process.stdout.read().decode().split()
    os.close(write_end)
    process.wait()
    assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_a_program_that_is_not_there_is_said_by_name() -> None:
    process = guarded.spawn(guarded.Program("test", ("/no/such/program",), {}), subprocess.PIPE)
    assert "/no/such/program" in read_line(process)
    assert process.wait() == guard.COULD_NOT_START
