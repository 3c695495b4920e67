"""`discovery gate`: a real jail, no server."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from workers.supervisor.jail import Jail
from workers.supervisor.zygote import COMMAND

OUTER = (sys.executable, str(Path(__file__).parents[1] / "jail" / "outer.py"))

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


def test_what_the_text_alone_refuses_opens_no_jail(discovery: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.gate.process.Jail", None)
    for arguments, stdin in ((("gate", "-"), "import os\n" + DPO), (("gate", "-", "--reply"), "Let us think.")):
        ran = discovery(*arguments, "--json", stdin=stdin)
        assert (ran.code, ran.json["status"], ran.json["isolation"]) == (5, "refused", None)


METHOD = """    def smoothed(self, policy_chosen_logps, policy_rejected_logps):
        z = self.beta * (policy_chosen_logps - policy_rejected_logps)
        return -F.logsigmoid(z) * (1 - self.smoothing) - F.logsigmoid(-z) * self.smoothing
"""


def test_what_a_published_method_reads_of_its_trainer_is_given_beside_it(discovery: Command) -> None:
    refused = discovery("gate", "-", "--json", stdin=METHOD).json
    assert (refused["status"], refused["code"]) == ("refused", "missing_value")
    ran = discovery("gate", "-", "--set", "smoothing=0.25", stdin=METHOD)
    assert (ran.code, "accepted: smoothed" in ran.out, "smoothing=0.25" in ran.out) == (0, True, True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("smoothng=0.1",), "--set smoothng is no hyper-parameter that the source leaves open"),
        (("smoothing",), "--set smoothing is no name with a number"),
        (("smoothing=nan",), "--set smoothing=nan is no name with a number"),
        (("smoothing=0.1", "smoothing=0.2"), "--set smoothing is given twice"),
    ],
)
def test_a_value_that_nobody_takes_is_told_and_not_dropped(
    discovery: Command, given: tuple[str, ...], told: str
) -> None:
    source = METHOD.replace("self.smoothing", "0.1") if given == ("smoothng=0.1",) else METHOD
    ran = discovery("gate", "-", *(part for each in given for part in ("--set", each)), stdin=source)
    assert (ran.code, told in ran.err) == (2, True)


def test_a_reply_says_its_values_itself(discovery: Command) -> None:
    ran = discovery("gate", "-", "--reply", "--set", "smoothing=0.1", stdin="```python\n" + DPO + "```")
    assert (ran.code, "leave --set or --reply out" in ran.err) == (2, True)


@pytest.mark.parametrize("characters", [20_000, 1_000_000])
def test_a_long_source_is_told_how_long_it_is(discovery: Command, characters: int) -> None:
    ran = discovery("gate", "-", "--json", stdin="#" * characters)
    assert (ran.code, ran.json["code"]) == (5, "too_long")
    assert f"{characters} characters" in ran.json["message"]


def test_a_file_of_another_size_than_any_source_is_no_source(discovery: Command, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"#" * 4_000_001)
    ran = discovery("gate", tmp_path / "data.bin")
    assert ran.code == 2
    assert "more than 4,000,000 bytes" in ran.err


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["words", "json"])
def test_a_terminal_without_greek_letters_is_no_error(
    discovery_process: Command, file: Path, options: tuple[str, ...]
) -> None:
    ran = discovery_process("gate", file, *options, env={"PYTHONIOENCODING": "ascii"})
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["formula"].startswith("-log \u03c3") if options else "GREEK SMALL LETTER" in ran.out


def test_without_a_complete_lock_it_says_that_nothing_was_executed(
    discovery: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.gate.process.Jail", partial(Jail, command=(*OUTER, "landlock", *COMMAND)))
    ran = discovery("gate", file)
    assert ran.code == 0
    assert "isolation seccomp" in ran.out
    assert "not executed and compared" in ran.out


def test_what_a_graph_costs_is_told(discovery: Command, file: Path) -> None:
    assert "additions an example" in discovery("gate", file).out


def test_what_was_repaired_in_a_reply_or_left_aside_is_told(discovery: Command) -> None:
    reply = f"```python\n{DPO}```\nor else\n```python\n{DPO.replace('beta', '2 * beta')}```\n"
    assert "note: The reply holds several proposals" in discovery("gate", "-", "--reply", stdin=reply).out
    assert len(discovery("gate", "-", "--reply", "--json", stdin=reply).json["notes"]) == 1


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
