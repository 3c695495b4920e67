"""`discovery up` passes on what it is asked; `discovery demo` leaves nothing running, however it ends."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from discovery_service.cli import demo
from discovery_service.cli.demo_spec import plan_demo
from discovery_service.local import stack
from discovery_service.local.state import claimed
from tests.cli.conftest import Command
from tests.waiting import wait_until


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[stack.StackOptions]:
    """What `discovery up` asked of the stack, which is not started."""
    options: list[stack.StackOptions] = []

    def run_stack(given: stack.StackOptions) -> int:
        options.append(given)
        return 1

    monkeypatch.setattr(stack, "run_stack", run_stack)
    return options


def test_up_takes_options_before_settings(discovery: Command, asked: list[stack.StackOptions], tmp_path: Path) -> None:
    env = {
        "DISCOVERY__DB__URL": "postgresql://set",
        "DISCOVERY__DB__OWNER_URL": "postgresql://owner@set",
        "DISCOVERY__REDIS__URL": "redis://set",
        "DISCOVERY__API__PORT": "9001",
        "DISCOVERY__WORKER__SLOTS": "3",
    }
    assert discovery("up", env=env).code == 1
    assert discovery("up", "--data", "here", "--port", 0, "--workers", 5, "--database-url", "postgresql://g", env=env)
    by_settings, by_options = asked
    assert (by_settings.data_dir, by_settings.host, by_settings.port) == (tmp_path, "127.0.0.1", 9001)
    assert (by_settings.slots, by_settings.redis_url) == (3, "redis://set")
    assert (by_settings.database_url, by_settings.owner_url) == ("postgresql://set", "postgresql://owner@set")
    assert (by_options.data_dir, by_options.port, by_options.slots) == (Path("here"), 0, 5)
    # The owner that is set belongs to the database that is set.
    assert (by_options.database_url, by_options.owner_url) == ("postgresql://g", None)
    assert "PATH" in by_options.environment


def processes_naming(text: str) -> list[str]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text in command:
            found.append(command)
    return found


@pytest.fixture
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")  # short, for the sockets in it


def test_the_demo_goes_through_all_of_it_and_leaves_nothing_running(
    discovery: Command, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a budget that not even the library fits into, so that the campaign ends at its first step."""
    planned = plan_demo("panel", 1, None)
    spec = {**planned.spec, "budgets": {"candidates": 12, "evaluations": 1}}
    monkeypatch.setattr(demo, "plan_demo", lambda *_: replace(planned, spec=spec))
    ran = discovery("demo", "--data", data_dir, "--json")
    assert ran.code == 0, ran.err
    shown = ran.json
    assert (shown["campaign"]["status"], shown["campaign"]["stage"]) == ("completed", "ended")
    assert "Not even the library can be measured" in shown["campaign"]["status_reason"]
    assert (shown["has_found"], shown["module"]) == (False, None)
    assert "RECORDED replies" in ran.err
    assert "campaign.completed" in ran.err
    assert f"--port {shown['url'].rpartition(':')[2]}" in ran.err
    assert processes_naming(str(data_dir)) == []


def test_a_demo_that_is_told_to_end_leaves_nothing_running(data_dir: Path) -> None:
    command = [sys.executable, "-m", "discovery_service.cli", "demo", "--data", str(data_dir)]
    demo = subprocess.Popen(command, env={"HOME": str(data_dir)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: (data_dir / "postgres").exists())
    demo.terminate()
    assert demo.wait(20) == 130
    assert processes_naming(str(data_dir)) == []


def test_a_demo_whose_stack_does_not_start_shows_why(discovery_process: Command, data_dir: Path) -> None:
    with claimed(data_dir):
        ran = discovery_process("demo", "--data", data_dir)
    assert (ran.code, ran.out) == (2, "")
    assert "A local stack runs on" in ran.err
