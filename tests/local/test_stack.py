"""`discovery up` as its user meets it: it starts, heals, stops, and says in one sentence why it cannot."""

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from discovery_service.local import binaries
from discovery_service.local.postgres import LEFTOVERS_DEADLINE_S, running_postgres
from discovery_service.local.redis import running_redis
from discovery_service.local.stack import _issue_key
from discovery_service.local.state import find_api_access
from tests.conftest import Database
from tests.local.conftest import CHILDREN, REPOSITORY, SERVICES, Stack, StartStack
from tests.local.processes import find_processes
from tests.waiting import wait_until


def test_it_tells_where_it_is_and_leaves_a_key_that_only_its_owner_reads(running_stack: Stack) -> None:
    stack = running_stack
    wait_until(lambda: all(stack.has_said(f"{name:<9} | {name} is up") for name in SERVICES))
    key_file = stack.data_dir / "api-key.json"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    access = json.loads(key_file.read_text())
    assert stack.has_said(f"ready at {access['url']}")
    assert stack.has_said(str(key_file))
    assert stack.sql("SELECT last_four, scopes::text FROM api_key") == [(access["api_key"][-4:], "{admin}")]

    environment = stack.environment_of("propose")
    assert "discovery_service@" in environment["DISCOVERY__DB__URL"]
    assert environment["DISCOVERY__REDIS__URL"].startswith("redis+socket://")


def test_a_second_one_on_the_same_directory_says_where_the_first_one_runs(running_stack: Stack) -> None:
    url = next(line for line in running_stack.lines if "ready at" in line).split()[-1]
    status, errors = Stack(running_stack.data_dir).end()
    assert status == 2
    assert url in errors
    assert f"process {running_stack.process.pid}" in errors
    assert running_stack.process.poll() is None


def test_a_child_that_does_not_live_is_started_again_ever_later(running_stack: Stack) -> None:
    sick = running_stack.data_dir / "beat.sick"
    sick.touch()
    beat = wait_until(partial(running_stack.program_of, "beat"))
    assert beat is not None
    os.kill(beat, signal.SIGKILL)
    for end in ("137; starting it again in 0.2 s", "3; starting it again in 0.4 s", "3; starting it again in 0.8 s"):
        wait_until(partial(running_stack.has_said, f"discovery | beat ended with status {end}"))
    sick.unlink()
    wait_until(lambda: sum("beat is up" in line for line in running_stack.lines) == 2)


def test_every_child_may_be_killed_and_so_may_its_guard(start_stack: StartStack) -> None:
    stack = start_stack().wait_ready()
    stack.sql("CREATE TABLE kept AS SELECT generate_series(1, 10)")
    for find in (stack.program_of, stack.guard_of):
        killed = {name: pid for name in CHILDREN if (pid := wait_until(partial(find, name)))}
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        for name, pid in killed.items():
            wait_until(partial(_is_replaced, stack, name, find, pid))
        for name in CHILDREN:
            assert stack.has_said(f"discovery | {name} ended with status")
    assert wait_until(lambda: stack.try_sql("SELECT count(*) FROM kept")) == [(10,)]
    # One gate and one process below it: what the killed ones had started is gone as well.
    wait_until(lambda: sum("signal.pause()" in words[-1] for words in find_processes(stack.data_dir).values()) == 1)
    assert stack.stop()[0] == 0
    assert not find_processes(stack.data_dir)


def _is_replaced(stack: Stack, name: str, find: Callable[[str], int | None], killed: int) -> bool:
    return find(name) not in (None, killed) and stack.program_of(name) is not None


def test_under_nohup_it_goes_on_after_a_hangup(running_stack: Stack) -> None:
    running_stack.process.send_signal(signal.SIGHUP)
    killed = wait_until(partial(running_stack.program_of, "propose"))
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: _is_replaced(running_stack, "propose", running_stack.program_of, killed))


def test_the_key_is_kept_while_it_is_valid_and_replaced_when_it_is_not(database: Database, tmp_path: Path) -> None:
    def issue(secret: str) -> str:
        _issue_key(database.service_url, tmp_path, "http://here", secret)
        access = find_api_access(tmp_path)
        assert access is not None
        return access.api_key

    first = issue("secret")
    assert issue("secret") == first
    assert issue("another secret") != first


def test_after_kill_9_of_the_supervisor_nothing_is_left_and_the_next_start_has_the_same_data(
    start_stack: StartStack, tmp_path: Path
) -> None:
    stack = start_stack().wait_ready()
    stack.sql("CREATE TABLE kept AS SELECT generate_series(1, 10)")
    key = (tmp_path / "data" / "api-key.json").read_text()
    stack.kill()
    # At once, while the guards of the first still stop what is theirs.
    again = start_stack().wait_ready()
    assert again.sql("SELECT count(*) FROM kept") == [(10,)]
    assert json.loads((tmp_path / "data" / "api-key.json").read_text())["api_key"] == json.loads(key)["api_key"]
    again.kill()
    wait_until(lambda: not find_processes(tmp_path))


def test_it_stops_in_order_also_when_a_worker_does_not_listen(start_stack: StartStack, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("stack.lock", "stubborn"):
        (tmp_path / "data" / name).touch()
    stack = start_stack().wait_ready()
    wait_until(lambda: stack.has_said("gate is up"))
    stack.process.send_signal(signal.SIGINT)
    status, errors = stack.end()
    assert (status, errors) == (0, "")
    assert not find_processes(tmp_path)
    assert stack.lines[-2].endswith("database system is shut down")
    assert stack.lines[-1] == "discovery | stopped"


def test_nothing_waits_for_what_a_killed_database_left(start_stack: StartStack, tmp_path: Path) -> None:
    stack = start_stack().wait_ready()
    code = "import signal; open('/proc/self/comm', 'w').write('postgres'); print(flush=True); signal.pause()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=stack.data_dir / "postgres", stdout=subprocess.PIPE) as leftover:
        try:
            assert leftover.stdout is not None
            leftover.stdout.readline()
            postgres = stack.program_of("postgres")
            assert postgres is not None
            os.kill(postgres, signal.SIGKILL)
            # The first start would wait that long for it; meanwhile nobody would hear Ctrl-C.
            wait_until(lambda: stack.has_said(f"[{leftover.pid}] still work in"), deadline_s=LEFTOVERS_DEADLINE_S - 1)
            assert stack.process.poll() is None
        finally:
            leftover.kill()
    wait_until(lambda: stack.try_sql("SELECT 1") == [(1,)])
    assert stack.stop()[0] == 0


def test_a_second_ctrl_c_kills_at_once(start_stack: StartStack, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("stack.lock", "stubborn"):
        (tmp_path / "data" / name).touch()
    stack = start_stack().wait_ready()
    wait_until(lambda: stack.has_said("gate is up"))
    stack.process.send_signal(signal.SIGINT)
    wait_until(lambda: stack.program_of("api") is None)
    stack.process.send_signal(signal.SIGINT)
    assert stack.end()[0] == 1
    assert stack.lines[-1] == "discovery | killed"
    assert not find_processes(tmp_path)


def test_ctrl_c_during_the_first_start_is_heard(start_stack: StartStack, tmp_path: Path) -> None:
    stack = start_stack()
    wait_until(lambda: (tmp_path / "data" / "postgres.new").exists())
    stack.process.send_signal(signal.SIGINT)
    assert stack.end()[0] == 0
    assert not find_processes(tmp_path)
    start_stack().wait_ready()


def test_it_stops_in_order_when_nobody_reads_its_lines_any_more(start_stack: StartStack, tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    stack = start_stack(stdout=write_end)
    os.close(write_end)
    with open(read_end) as lines:
        assert any("ready at" in line for line in lines)
    assert stack.stop() == (0, "")
    assert not find_processes(tmp_path)


def test_a_busy_port_is_told_before_anything_is_started(start_stack: StartStack, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, errors = start_stack("--port", str(port)).end()
    assert (status, errors) == (
        2,
        f"Port {port} on 127.0.0.1 is in use. Stop what listens there, or choose another --port.\n",
    )
    assert not (tmp_path / "data" / "postgres").exists()


def test_what_a_person_can_mend_is_one_sentence(start_stack: StartStack, tmp_path: Path) -> None:
    half_written = tmp_path / "half"
    (half_written / "postgres" / "base").mkdir(parents=True)
    (half_written / "stack.lock").touch()
    foreign = tmp_path / "checkout"
    foreign.mkdir()
    (foreign / "README.md").touch()
    nowhere = f"postgresql://nobody@/x?host={tmp_path}"
    cases = {
        "cannot be written": start_stack(data_dir=Path("/proc/discovery")),
        "Choose a shorter --data": start_stack(data_dir=tmp_path / ("x" * 100)),
        "holds other things already": start_stack(data_dir=foreign),
        "is a file": start_stack(data_dir=foreign / "README.md"),
        "half-written or not ours": start_stack(data_dir=half_written),
        "The database cannot be reached": start_stack("--database-url", nowhere, data_dir=tmp_path / "database"),
        "Redis cannot be reached": start_stack(
            "--redis-url", f"redis+socket://{tmp_path}/none?virtual_host=0", data_dir=tmp_path / "broker"
        ),
    }
    for sentence, stack in cases.items():
        status, errors = stack.end()
        assert status == 2, errors
        assert sentence in errors
        assert errors.count("\n") == 1, errors


def test_servers_given_by_url_are_used_and_none_is_started(start_stack: StartStack, tmp_path: Path) -> None:
    (tmp_path / "servers").mkdir()
    with (
        running_postgres(tmp_path / "servers", durable=False) as postgres,
        running_redis(tmp_path / "servers") as redis,
    ):
        stack = start_stack("--database-url", postgres.owner_url, "--redis-url", redis.broker_url).wait_ready()
        environment = stack.environment_of("evaluate")
        assert environment["DISCOVERY__DB__URL"] == postgres.owner_url
        assert environment["DISCOVERY__REDIS__URL"] == redis.broker_url
        assert stack.program_of("postgres") is stack.program_of("redis") is None
        assert stack.stop()[0] == 0
        assert postgres.is_ready()
        assert redis.is_ready()


def _python_for_others() -> Path | None:
    """An interpreter like ours that every account may run."""
    candidates = [Path(sys.executable), Path(f"/usr/bin/python3.{sys.version_info.minor}")]
    return next((path for path in candidates if path.exists() and binaries._is_open_to_all(path)), None)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's run of this suite proves the same")
def test_an_ordinary_user_has_the_same_stack(start_stack: StartStack) -> None:
    python = _python_for_others()
    user = pwd.getpwnam("daemon")
    site_packages = Path(pytest.__file__).parents[1]
    if python is None or not all(map(binaries._is_open_to_all, (Path(__file__), site_packages / "kombu"))):
        pytest.skip("no interpreter or no packages here that another account may use")
    home = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        os.chown(home, user.pw_uid, user.pw_gid)
        stack = start_stack(
            data_dir=home / "data",
            python=(str(python),),
            user=user.pw_uid,
            environment={"PYTHONPATH": f"{REPOSITORY}:{site_packages}"},
        ).wait_ready()
        owners = {Path(f"/proc/{pid}").stat().st_uid for pid in find_processes(home)}
        assert owners == {user.pw_uid}
        assert stack.stop()[0] == 0
    finally:
        shutil.rmtree(home)
