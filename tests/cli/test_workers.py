"""`discovery workers` shows the fleet to people and to machines."""

from discovery_service.db.sessions import Sessions
from tests.api.test_workers import add
from tests.cli.conftest import Command

CPU = {"kind": "cpu", "card": None, "model": None}


def test_the_fleet_is_a_table_or_json(discovery: Command, api_env: dict[str, str], sessions: Sessions) -> None:
    card = {"kind": "cuda", "card": "0", "model": "NVIDIA H100"}
    add(sessions, "evaluate@a", devices=[card, card, CPU])
    shown = discovery("workers", env=api_env)
    assert shown.code == 0
    assert "evaluate@a" in shown.out
    assert "2 x NVIDIA H100, 1 x cpu" in shown.out
    (found,) = discovery("workers", "--json", env=api_env).json
    assert (found["state"], found["slots"], len(found["devices"])) == ("live", 2, 3)
