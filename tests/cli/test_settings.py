"""`discovery settings show` prints what is set, and no secret."""

from tests.cli.conftest import Command

ENV = {"DISCOVERY__DB__URL": "postgresql://me:hunter2@db/x", "DISCOVERY__API__PORT": "9001"}


def test_every_setting_is_shown_under_the_variable_that_sets_it(discovery: Command) -> None:
    lines = dict(line.split(maxsplit=1) for line in discovery("settings", "show", env=ENV).out.splitlines())
    assert lines["DISCOVERY__API__PORT"].strip() == "9001"
    assert lines["DISCOVERY__REDIS__URL"].strip() == "not set"
    assert lines["DISCOVERY__DB__URL"].strip() == "**********"


def test_secrets_are_hidden_from_machines_too(discovery: Command) -> None:
    ran = discovery("settings", "show", "--json", env=ENV)
    assert "hunter2" not in ran.out
    assert ran.json["api"]["port"] == 9001
