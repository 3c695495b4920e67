"""`discovery gate`: a real jail, no server."""

from functools import partial
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from workers.supervisor.jail import Jail

DPO = (
    "def loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):\n"
    "    margin = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)\n"
    "    return -F.logsigmoid(beta * margin)\n"
)
KEYS = {"status", "code", "message", "line", "graph_sha256", "passport", "neighbours", "isolation"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "loss.py").write_text(DPO)
    return tmp_path / "loss.py"


def test_an_accepted_loss_ends_with_0_and_is_told_in_words(discovery: Command, file: Path) -> None:
    ran = discovery("gate", file)
    assert ran.code == 0
    for told in ("accepted: loss", "-log σ(β·", "F.logsigmoid(", "twin of dpo", "It never rises with the margin"):  # noqa: RUF001
        assert told in ran.out


def test_the_same_as_json_from_stdin(discovery: Command) -> None:
    ran = discovery("gate", "-", "--json", stdin=DPO)
    assert ran.code == 0
    assert ran.json.keys() >= KEYS
    assert (ran.json["status"], ran.json["neighbours"][0]["name"]) == ("accepted", "dpo")


def test_a_refused_loss_ends_with_5_with_code_sentence_and_line(discovery: Command) -> None:
    source = DPO.replace("F.logsigmoid", "torch.load")
    ran = discovery("gate", "-", stdin=source)
    assert ran.code == 5
    assert ran.out.startswith("refused: line 3, operation_not_allowed: ")
    answer = discovery("gate", "-", "--json", stdin=source).json
    assert (answer["status"], answer["line"], answer["graph_sha256"]) == ("refused", 3, None)


def test_a_models_reply_is_taken_apart_first(discovery: Command) -> None:
    reply = f"I propose this:\n```python\n{DPO}```\n"
    assert discovery("gate", "-", "--reply", stdin=reply).code == 0
    prose = discovery("gate", "-", "--reply", "--json", stdin="Let us think about it.")
    assert (prose.code, prose.json["code"]) == (5, "no_code")


def test_another_family_has_other_inputs(discovery: Command) -> None:
    ran = discovery("gate", "-", "--family", "outcome", "--json", stdin=DPO)
    assert ran.code == 5
    assert ran.json["code"] in ("no_entry", "unknown_input")


def test_bytes_that_are_no_text_are_refused_in_a_sentence(discovery: Command, tmp_path: Path) -> None:
    (tmp_path / "bytes.py").write_bytes(b"def loss(beta):\n    return '\xff\xfe'\n")
    ran = discovery("gate", tmp_path / "bytes.py", "--json")
    assert (ran.code, ran.json["status"]) == (5, "refused")


def test_a_file_that_is_not_there_ends_with_2(discovery: Command) -> None:
    ran = discovery("gate", "none.py")
    assert ran.code == 2
    assert "none.py cannot be read" in ran.err


def test_where_no_jail_can_be_locked_it_ends_with_4(
    discovery: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.gate.process.Jail", partial(Jail, command=("/bin/false",)))
    ran = discovery("gate", file, "--json")
    assert (ran.code, ran.json["status"]) == (4, "unavailable")
