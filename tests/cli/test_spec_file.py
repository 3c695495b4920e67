"""Files of campaigns: what can be read means what it says, what cannot is told with name and line."""

from pathlib import Path

import pytest

from discovery_service.cli.spec_file import read_campaign, read_mapping
from discovery_service.errors import UsageError

YAML = """\
name: a search
spec:
  arena: panel:mini
  budgets: {candidates: 4, cost_usd: 1.5}
  guidance: |
    Be brief.
"""
READ = {
    "name": "a search",
    "spec": {
        "arena": "panel:mini",
        "budgets": {"candidates": 4, "cost_usd": 1.5},
        "guidance": "Be brief.\n",
    },
}


def test_yaml_is_read(tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(YAML)
    assert read_campaign(file) == READ


def test_json_is_read(tmp_path: Path) -> None:
    file = tmp_path / "campaign.json"
    file.write_text('{\n\t"name": "a search", "spec": {"arena": "plain"}\n}')
    assert read_campaign(file) == {"name": "a search", "spec": {"arena": "plain"}}


def test_a_date_stays_the_text_that_was_written(tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text("name: 2026-11-21\n")
    assert read_campaign(file)["name"] == "2026-11-21"


@pytest.mark.parametrize("written", ["1e-5", "1E-5", "1.0e-5", "10e-6", "+1e-05"])
def test_a_rate_is_a_number_however_it_is_written(tmp_path: Path, written: str) -> None:
    file = tmp_path / "arena.yaml"
    file.write_text(f"learning_rate: {written}\nname: 1e-5x\n")
    assert read_mapping(file, "arena", "name") == {"learning_rate": 1e-5, "name": "1e-5x"}


def test_an_anchor_may_be_merged_and_overridden(tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text("spec:\n  tuning: &t {a: 1, b: 1}\n  strategy: &s {<<: *t, a: 2}\n  budgets: {<<: *s, b: 3}\n")
    assert read_campaign(file)["spec"]["budgets"] == {"a": 2, "b": 3}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("c.yaml", "name: x\nspec:\n  arena: [panel\n", "line 4: "),
        ("c.yaml", "name: x\nspec:\n  seed: 1\n  seed: 2\n", "line 4: the key seed stands twice"),
        ("c.yaml", "name: x\nname: y\n", "line 2: the key name stands twice"),
        ("c.yaml", "name: \x01", "is no YAML"),
        ("c.yaml", "spec:\n  budgets: {cost_usd: .inf}\n", "JSON cannot carry"),
        ("c.yaml", "name: !!binary aGk=\n", "JSON cannot carry"),
        ("c.yaml", "name: !!python/name:os.system\n", "line 1: could not determine a constructor"),
        ("c.yaml", "", "holds no campaign"),
        ("c.yaml", "- name: x\n", "holds no campaign"),
        ("c.yaml", "nmae: x\n", "nmae is no field here; there are name, notes, spec"),
        ("c.yaml", "spec: panel\n", "spec has to be a mapping"),
        ("c.yaml", "spec: {budgets: 12}\n", "spec has to be a mapping"),
        ("c.json", '{\n"name": "x",\n}', "line 3: "),
    ],
)
def test_a_bad_file_is_told_in_one_sentence(tmp_path: Path, name: str, text: str, told: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(UsageError) as error:
        read_campaign(file)
    sentence = str(error.value)
    assert sentence.startswith(str(file))
    assert told in sentence
    assert "\n" not in sentence


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_campaign(tmp_path / "none.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: schön".encode("latin-1"))
    with pytest.raises(UsageError, match="UTF-8"):
        read_campaign(latin)
