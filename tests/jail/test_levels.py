"""The level follows from what the lock can do on this host, and below the minimum nothing is run."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from discovery_service.domain.isolation import Level
from discovery_service.local.binaries import _is_open_to_all
from discovery_service.losses.refusals import RefusalCode
from tests.house.tree import REPOSITORY
from tests.jail.conftest import HERE, run_source, zygote_command
from workers.jail import lockdown
from workers.jail.jobs import JOBS, Job
from workers.jail.lockdown import JAIL_ID, OPTIONAL, UNLOCKED, Layer
from workers.supervisor import jail as jail_module
from workers.supervisor.jail import Jail, JailUnavailable


def test_here_it_is_full_and_says_by_what(jail: Jail) -> None:
    isolation = jail.isolation
    assert (isolation.level, isolation.reason, isolation.leaks) == (Level.FULL, None, ())
    assert set(isolation.layers) | set(isolation.missing) >= set(Layer) - {Layer.UID}
    assert isolation.landlock_abi > 0
    assert isolation.document() == json.loads(json.dumps(isolation.document()))


def test_where_no_filter_can_be_installed_nothing_is_compiled() -> None:
    with Jail(command=zygote_command(without="seccomp")) as jail:
        assert jail.isolation.level is Level.UNAVAILABLE
        assert "seccomp" in (jail.isolation.reason or "")
        with pytest.raises(JailUnavailable, match=r"wants a jail of level seccomp.*seccomp: .*not permitted"):
            run_source(jail, "RESULT = 1")
        assert jail.zygote_pid is None


def test_without_landlock_the_filter_holds_alone() -> None:
    with Jail(command=zygote_command(without="landlock")) as jail:
        assert jail.isolation.level is Level.SECCOMP
        assert "Landlock" in (jail.isolation.reason or "")
        assert (jail.isolation.landlock_abi, jail.isolation.leaks) == (0, ())
        assert run_source(jail, "RESULT = 1").answer == {"result": "1"}
        refusal = run_source(jail, "open('/etc/passwd')").refusal
        assert refusal is not None
        assert refusal.code is RefusalCode.JAIL_CRASH


def test_a_demanded_level_is_not_undercut() -> None:
    with Jail(Level.FULL, zygote_command(without="landlock")) as jail:
        assert jail.isolation.level is Level.SECCOMP
        with pytest.raises(JailUnavailable, match="wants a jail of level full, here it is seccomp"):
            run_source(jail, "RESULT = 1")


@pytest.mark.parametrize("without", ["landlock", "seccomp"])
def test_only_a_full_jail_runs_a_candidates_python(without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs_python = Job(__name__, "run_unchecked", runs_python=True)
    with Jail(Level.UNAVAILABLE, zygote_command(without=without)) as jail:
        assert run_source(jail, "RESULT = 'compiled'").answer == {"result": "compiled"}
        monkeypatch.setattr(jail_module, "JOBS", {**JOBS, "unchecked": runs_python})
        with pytest.raises(JailUnavailable, match="wants a jail of level full"):
            run_source(jail, "RESULT = 'executed'")


def test_an_operators_opt_in_gives_up_the_lock_and_not_the_limits() -> None:
    with Jail(Level.UNAVAILABLE, zygote_command(without="seccomp")) as jail:
        refusal = run_source(jail, "while True: pass", cpu_s=1, wall_s=30.0).refusal
        assert refusal is not None
        assert refusal.code is RefusalCode.CPU_LIMIT


@pytest.mark.parametrize(("without", "is_locked"), [(None, True), ("landlock", True), ("seccomp", False)])
def test_a_process_is_locked_when_it_has_its_filter(without: str | None, is_locked: bool) -> None:
    """A bound on descriptors alone, which an unlocked child has too, opens no file either."""
    source = "from workers.jail.lockdown import is_locked\nRESULT = is_locked()"
    with Jail(Level.UNAVAILABLE, zygote_command(without=without)) as jail:
        assert run_source(jail, source).answer == {"result": str(is_locked)}


def test_a_machine_whose_calls_are_unknown_goes_without_the_drop_of_capabilities_by_opt_in_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="not known for riscv64"):
        lockdown._drop_capabilities()
    assert Layer.CAPABILITIES in UNLOCKED - OPTIONAL


def test_a_canary_that_gets_out_is_named_and_closes_the_jail() -> None:
    with Jail(command=zygote_command("leaky")) as jail:
        assert jail.isolation.level is Level.UNAVAILABLE
        assert jail.isolation.leaks == ("send_signal",)
        with pytest.raises(JailUnavailable, match="send_signal got out"):
            run_source(jail, "RESULT = 1")


def test_landlock_is_believed_only_where_it_holds_without_the_filter() -> None:
    with Jail(command=zygote_command("pretending")) as jail:
        assert jail.isolation.leaks == ("read_directory past landlock",)
        assert jail.isolation.level is Level.UNAVAILABLE


@pytest.mark.parametrize(
    ("kind", "why"), [("broken", "RuntimeError: torch is broken"), ("threaded", "has 2 threads after its warm-up")]
)
def test_a_zygote_that_cannot_serve_says_why(kind: str, why: str) -> None:
    with Jail(command=zygote_command(kind)) as jail:
        assert jail.isolation.level is Level.UNAVAILABLE
        with pytest.raises(JailUnavailable, match=why):
            run_source(jail, "RESULT = 1")


REPORT = """
import json, sys
sys.path[:0] = sys.argv[1].split(":")
from workers.supervisor.jail import Jail
with Jail(command=json.loads(sys.argv[2])) as jail:
    answer = jail.run("unchecked", {"source": "RESULT = 1"}).answer
    print(json.dumps([jail.isolation.document(), answer]))
"""


def _report(python: str, *wrapper: str) -> dict[str, object]:
    """The isolation of a jail whose supervisor was started by the wrapper, as another user may be."""
    paths = [str(REPOSITORY), str(Path(pytest.__file__).parents[1])]
    start = (
        f"import sys; sys.path[:0] = {paths}; from runpy import run_path; run_path(sys.argv.pop(1), {{}}, '__main__')"
    )
    zygote = [python, "-I", "-c", start, str(HERE / "entry.py"), "bare"]
    command = [*wrapper, python, "-I", "-c", REPORT, ":".join(paths), json.dumps(zygote)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
    isolation, answer = json.loads(done.stdout)
    assert answer == {"result": "1"}
    return dict(isolation)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@as_root
def test_root_locks_its_children_under_a_uid_that_nobody_has(jail: Jail) -> None:
    assert jail.isolation.uid == JAIL_ID
    assert Layer.UID in jail.isolation.layers


@as_root
def test_an_ordinary_user_has_the_full_level() -> None:
    candidates = (Path(sys.executable), Path(f"/usr/bin/python3.{sys.version_info.minor}"))
    python = next((path for path in candidates if path.exists() and _is_open_to_all(path)), None)
    if python is None or not _is_open_to_all(HERE / "entry.py"):
        pytest.skip("no interpreter here that another account may use")
    isolation = _report(str(python), "setpriv", "--reuid=1234", "--regid=1234", "--clear-groups")
    assert (isolation["level"], isolation["uid"]) == ("full", 1234)


@as_root
def test_a_root_without_capabilities_has_the_full_level_and_says_what_is_missing() -> None:
    """A container's, say: it has no other uid to change to."""
    isolation = _report(sys.executable, "setpriv", "--bounding-set=-all")
    assert (isolation["level"], isolation["uid"]) == ("full", 0)
    missing = isolation["missing"]
    assert isinstance(missing, dict)
    assert missing.keys() == {"uid"}
