"""PostgreSQL from the wheel: where it runs, what it leaves alone, and what it says when it cannot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from discovery_service.errors import UsageError
from discovery_service.local import account, guarded
from discovery_service.local.directory import find_processes_in
from discovery_service.local.postgres import prepare_postgres, running_postgres
from tests.local.processes import find_processes
from tests.waiting import wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the account")


def count_rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def make_rows(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 10)")


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped server's data, to copy from."""
    data_dir = tmp_path_factory.mktemp("initialised")
    with running_postgres(data_dir, durable=False) as postgres:
        make_rows(postgres.owner_url)
    return data_dir


@pytest.fixture
def stopped(initialised: Path, tmp_path: Path) -> Path:
    """A directory with ten rows, on which no server runs."""
    subprocess.run(["/bin/cp", "-a", f"{initialised}/.", str(tmp_path)], check=True)
    return tmp_path


def test_data_survive_a_restart(stopped: Path) -> None:
    with running_postgres(stopped, durable=True) as postgres:
        assert count_rows(postgres.owner_url) == 10
    assert not find_processes(stopped)


def test_what_was_committed_survives_kill_9_of_the_server(tmp_path: Path) -> None:
    postgres = prepare_postgres(tmp_path, durable=True)
    process = guarded.spawn(postgres.program(), subprocess.DEVNULL)
    wait_until(postgres.is_ready)
    make_rows(postgres.owner_url)
    process.kill()
    process.wait()
    wait_until(lambda: not find_processes(tmp_path))
    with running_postgres(tmp_path, durable=True) as again:
        assert count_rows(again.owner_url) == 10


def test_it_is_set_up_for_the_service(stopped: Path) -> None:
    with running_postgres(stopped, durable=True) as postgres, psycopg.connect(postgres.owner_url) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
            for name in (
                "server_version_num",
                "server_encoding",
                "listen_addresses",
                "max_connections",
                "idle_in_transaction_session_timeout",
                "fsync",
                "timezone",
            )
        }
    assert shown.pop("server_version_num")[:2] == "18"
    assert shown == {
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "max_connections": "500",
        "idle_in_transaction_session_timeout": "30s",
        "fsync": "on",
        "timezone": "UTC",
    }


def test_the_url_holds_whatever_the_shell_says(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "elsewhere")
    odd = stopped / "a b+%41"
    odd.mkdir()
    (stopped / "postgres").rename(odd / "postgres")
    with running_postgres(odd, durable=False) as postgres:
        assert count_rows(postgres.owner_url) == 10


@needs_root
def test_as_root_nothing_outside_the_directory_is_touched(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    parents = [home, *home.parents]
    before = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in parents]
    users = Path("/etc/passwd").read_bytes(), Path("/etc/group").read_bytes()
    with running_postgres(home / "data", durable=False) as postgres:
        (pid,) = [
            pid for pid in find_processes_in(postgres.directory, "postgres") if _is_postmaster(pid, postgres.directory)
        ]
        assert Path(f"/proc/{pid}").stat().st_uid == account.server_account().uid != 0
    assert [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in parents] == before
    assert (Path("/etc/passwd").read_bytes(), Path("/etc/group").read_bytes()) == users


def _is_postmaster(pid: int, directory: Path) -> bool:
    return (directory / "postmaster.pid").read_text().startswith(f"{pid}\n")


def test_it_ends_when_whoever_started_it_is_killed(stopped: Path) -> None:
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal, sys; from pathlib import Path\n"
            "from discovery_service.local.postgres import running_postgres\n"
            "with running_postgres(Path(sys.argv[1]), durable=False): print('up', flush=True); signal.pause()",
            str(stopped),
        ],
        stdout=subprocess.PIPE,
    )
    assert starter.stdout is not None
    starter.stdout.readline()
    assert len(find_processes(stopped)) > 2
    starter.kill()
    starter.wait()
    wait_until(lambda: not find_processes(stopped))


def test_an_interrupted_first_start_heals_by_itself(tmp_path: Path) -> None:
    half = tmp_path / "postgres.new" / "base"
    half.mkdir(parents=True)
    (half / "1").write_text("half")
    with running_postgres(tmp_path, durable=False) as postgres:
        assert postgres.is_ready()
    assert not (tmp_path / "postgres.new").exists()


def test_a_half_written_directory_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="half-written or not ours"):
        prepare_postgres(tmp_path, durable=True)
    assert [path.name for path in (tmp_path / "postgres").iterdir()] == ["notes.txt"]


def test_data_of_another_major_version_are_refused(stopped: Path) -> None:
    (stopped / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(UsageError, match="made by PostgreSQL 17, this is 18"):
        prepare_postgres(stopped, durable=True)


@needs_root
def test_data_of_another_account_are_refused(stopped: Path) -> None:
    shutil.chown(stopped / "postgres", "root")
    with pytest.raises(UsageError, match="belongs to user id 0, but its server would run as nobody"):
        prepare_postgres(stopped, durable=True)


def test_a_path_too_long_for_a_socket_is_told_before_anything_is_written(tmp_path: Path) -> None:
    data_dir = tmp_path / ("x" * 100)
    with pytest.raises(UsageError, match="Choose a shorter --data"):
        prepare_postgres(data_dir, durable=True)
    assert not (data_dir / "postgres").exists()


@pytest.mark.parametrize(
    "pid", ["4194304999", str(os.getpid()), "1", "garbage"], ids=["nobody", "this", "init", "garbage"]
)
def test_a_stale_pid_file_is_removed_whoever_has_the_number_now(stopped: Path, pid: str) -> None:
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (stopped / "postgres" / name).write_text(f"{pid}\n/proc/self/cwd\n")
    with running_postgres(stopped, durable=False) as postgres:
        assert count_rows(postgres.owner_url) == 10


def test_a_directory_on_which_a_server_runs_is_refused(stopped: Path) -> None:
    with running_postgres(stopped, durable=False) as postgres:
        with pytest.raises(UsageError, match=r"PostgreSQL runs on .* already \(process \d+\)"):
            prepare_postgres(stopped, durable=False)
        assert count_rows(postgres.owner_url) == 10


def test_a_server_that_cannot_start_is_told_with_its_last_words(stopped: Path) -> None:
    (stopped / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(guarded.ProgramFailed, match="no_such_setting"), running_postgres(stopped, durable=False):
        pass
    assert not find_processes(stopped)


def test_an_account_without_a_name_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999_999)
    with pytest.raises(UsageError, match="user id 3999999999 has no entry in /etc/passwd"):
        prepare_postgres(tmp_path, durable=True)
