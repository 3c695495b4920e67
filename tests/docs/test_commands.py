"""What the documentation tells people to type is there, and what its session shows runs as it stands there."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from discovery_service.cli.app import make_app
from discovery_service.client import Client
from discovery_service.db.sessions import Sessions
from tests.api.test_exports import id_of, played
from tests.cli.conftest import Command, _settings_of_this_test, api_env, client, discovery, open_jail
from tests.docs.pages import Shown, list_commands, read_block
from tests.house.tree import REPOSITORY

__all__ = ["_settings_of_this_test", "api_env", "client", "discovery", "open_jail"]

SHOWN = list_commands()
README = REPOSITORY / "README.md"
# It follows a campaign that has ended, or makes one of what has; the others are about one that runs.
ABOUT_ENDED = ("campaign watch", "campaign extend", "campaign standings", "leaderboard", "export")

# Neither asks the service; tests/cli/test_doctor.py and test_try.py run them.
OF_THE_MACHINE = ("doctor", "try ")


def find_options(words: list[str]) -> set[str]:
    """Of the command that the first words name; a word like `list|show` names two."""
    command: Any = get_command(make_app())
    while words and (commands := getattr(command, "commands", None)) is not None and not words[0].startswith("-"):
        named, *words = words
        missing = set(named.split("|")) - commands.keys()
        assert not missing, f"there is no {', '.join(missing)}"
        if "|" in named:
            return {name for each in named.split("|") for name in _list_options(commands[each])}
        command = commands[named]
    return _list_options(command)


def _list_options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts} | {"--help"}


@pytest.mark.parametrize("shown", [each for each in SHOWN if each.text.startswith("discovery")], ids=str)
def test_every_command_that_is_shown_exists_with_its_options(shown: Shown) -> None:
    words = shlex.split(re.sub(r"[\[\]…]|\.\.\.", " ", shown.text.removeprefix("discovery")))
    asked = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert asked <= find_options(words)


@pytest.mark.parametrize("shown", [each for each in SHOWN if each.text.startswith("python")], ids=str)
def test_every_benchmark_that_is_shown_exists(shown: Shown) -> None:
    module, *rest = shown.text.removeprefix("python -m ").split()
    found = find_spec(module)
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).read_text(encoding="utf-8")
    for option in (word.partition("=")[0] for word in rest if word.startswith("--")):
        assert f'"{option}"' in source


def test_the_session_of_the_readme_runs_as_it_is_shown(
    discovery: Command,
    api_env: dict[str, str],
    client: Client,
    sessions: Sessions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("campaign.yaml").write_text(read_block(README, "yaml", "held_out_arenas"), encoding="utf-8")
    Path("my_loss.py").write_text(read_block(README, "python", "def my_loss"), encoding="utf-8")
    won = played(sessions, 0.5, budgets={"candidates": 12})
    ended, loss = won.campaign_id, str(id_of(won, "cdpo"))
    block = read_block(README, "", "campaign propose")
    commands = [line.removeprefix("$ discovery ").split("  #")[0].strip() for line in block.splitlines()]
    running = None
    for command in commands:
        if command.startswith(OF_THE_MACHINE):
            continue
        named = {"ID": str(ended if command.startswith(ABOUT_ENDED) else running), "LOSS": loss}
        ran = discovery(*(named.get(word, word) for word in shlex.split(command)), env=api_env)
        assert ran.code == 0, f"{command}: {ran.err}"
        if running is None:
            running = next(iter(client.campaigns.list(limit=1))).id
    assert Path("discovered_loss.py").exists()
