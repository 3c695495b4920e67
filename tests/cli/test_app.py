"""The command as a whole: quick, helpful without settings, and whole without torch."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command

from discovery_service.cli import app as app_module
from discovery_service.cli.app import make_app
from discovery_service.errors import UsageError
from discovery_service.version import VERSION
from tests.cli.conftest import Command

HEAVY = ("torch", "transformers", "openai", "fastapi", "uvicorn", "alembic", "celery", "sqlalchemy", "psycopg", "rich")


def paths_of(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            yield from paths_of(below, (*path, name))


PATHS = sorted(paths_of(get_command(make_app())))


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_help_needs_no_settings(discovery: Command, path: tuple[str, ...]) -> None:
    ran = discovery(*path, "--help", env={"DISCOVERY__API__PORT": "not a port"})
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: {' '.join(('discovery', *path))}")


def test_every_command_that_prints_does_so_for_machines_too() -> None:
    run_until_stopped = {("up",), ("api",), ("worker",), ("beat",), ("recorded",)}
    app = get_command(make_app())

    def find(path: tuple[str, ...]) -> Any:
        command: Any = app
        for name in path:
            command = command.commands[name]
        return command

    commands = {path: found for path in PATHS if not hasattr(found := find(path), "commands")}
    options = {path: {each for option in found.params for each in option.opts} for path, found in commands.items()}
    assert {path for path, named in options.items() if "--json" not in named} == run_until_stopped


def test_the_version_is_the_packages(discovery: Command) -> None:
    assert discovery("--version").out == f"{VERSION}\n"


def test_importing_the_command_loads_nothing_heavy() -> None:
    code = f"import sys, discovery_service.cli; print(*(name for name in {HEAVY} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "\n"


def test_help_loads_no_torch() -> None:
    code = (
        "import sys\nfrom discovery_service.cli import main\nsys.argv[1:] = ['--help']\n"
        "try: main()\nexcept SystemExit: assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_where_torch_is_not_installed_the_rest_works(
    discovery: Command, api_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {("worker",), ("beat",)} <= set(PATHS)
    monkeypatch.setattr(app_module, "find_spec", lambda name: None)
    assert discovery("campaign", "list", "--json", env=api_env).json == []
    ran = discovery("worker", "gate")
    assert ran.code == 2
    assert "No such command 'worker'" in ran.err


def test_a_fault_in_another_packages_commands_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "discovery_service.no_such_module:register", app_module.COMMANDS_GROUP)
    monkeypatch.setattr(app_module, "entry_points", lambda group: [broken])
    with pytest.raises(ModuleNotFoundError):
        make_app()


def test_commands_of_other_packages_join_and_fail_like_ours(
    discovery: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Joining:
        name = "joining"

        def load(self) -> Any:
            return register

    def register(app: typer.Typer) -> None:
        @app.command()
        def complain() -> None:
            raise UsageError("Do it otherwise.")

    monkeypatch.setattr(app_module, "entry_points", lambda group: [Joining()])
    ran = discovery("complain")
    assert (ran.code, ran.err) == (2, "Do it otherwise.\n")
