"""`discovery evaluate`: a real jail and a real runtime, no server."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from discovery_service.domain.arenas import find_document
from discovery_service.domain.published import add_attained
from tests.arenas.hf.tiny import make_rows, save_folder, write_rows
from tests.cli.conftest import Command, Ran
from tests.cli.test_arena import FILE
from tests.cli.test_gate import DPO
from workers.supervisor.jail import Jail

ONE_SLOT = {"DISCOVERY__WORKER__SLOTS": "1", "DISCOVERY__WORKER__DEVICES": "cpu"}
FEW = ("--steps", 12)
RATE_AND_STEPS = {"learning_rate": 1.5e-3, "steps": 12}


@pytest.fixture(scope="module")
def own_arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An operator's folder: a model, preferences, and a file for full training and one for LoRA."""
    folder = tmp_path_factory.mktemp("own")
    save_folder(folder / "model")
    write_rows(folder / "rows.jsonl", make_rows(40, style="conversational"))
    (folder / "full.yaml").write_text(FILE)
    (folder / "lora.yaml").write_text(f"{FILE}use_peft: true\nlora_r: 4\nlora_target_modules: all-linear\n")
    return folder


def evaluate(discovery: Command, *arguments: object, **options: Any) -> Ran:
    return discovery("evaluate", *arguments, env=ONE_SLOT, **options)


def test_a_known_loss_is_measured_in_every_setting_on_every_draw(discovery: Command) -> None:
    ran = evaluate(discovery, "dpo", "--arena", "plain", "--beta", 0.5, "--beta", 2, *FEW, "--draws", 2, "--json")
    assert ran.code == 0
    found = [(each["setting"]["beta"], each["draw"]) for each in ran.json["measurements"]]
    assert found == [(0.5, 0), (0.5, 1), (2.0, 0), (2.0, 1)]
    assert {each["setting"]["learning_rate"] for each in ran.json["measurements"]} == {1.5e-3}
    for each in ran.json["measurements"]:
        assert each["metrics"]["J"] == pytest.approx(each["metrics"]["reward"] - each["metrics"]["kl"], abs=1e-4)
        assert each["metrics"] == add_attained(each["metrics"], find_document("plain:mini") or {}, 0)
        assert 0 < each["metrics"]["attained"] < 1
    for each in ran.json["summary"]:
        assert each["metrics"]["J"]["low"] < each["metrics"]["J"]["mean"] < each["metrics"]["J"]["high"]
    assert ran.json["frontier"] == [{"beta": 2.0, **RATE_AND_STEPS}, {"beta": 0.5, **RATE_AND_STEPS}]
    assert (ran.json["status"], ran.json["loss"], ran.json["arena"]) == ("measured", "dpo", "plain:mini")
    assert ran.json["gate"]["status"] == "accepted"


def test_the_same_is_told_with_intervals_and_one_draw_without(discovery: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(DPO)
    told = evaluate(discovery, tmp_path / "mine.py", "--arena", "plain:mini", *FEW, "--draws", 2).out
    assert "loss in plain:mini, base policy 0: means over draws with 95 % intervals." in told
    assert "attained" in told.splitlines()[0]
    assert "[" in told.splitlines()[1]
    alone = evaluate(discovery, "-", "--arena", "plain", *FEW, stdin=DPO).out
    assert "of one draw, which says nothing of the next one" in alone
    assert "[" not in alone


@pytest.mark.parametrize(
    "training",
    ["full", pytest.param("lora", marks=pytest.mark.skipif(find_spec("peft") is None, reason="needs peft"))],
)
def test_a_users_folder_gives_measurements_for_dpo(discovery: Command, own_arena: Path, training: str) -> None:
    file, rate = own_arena / f"{training}.yaml", {"full": 3e-3, "lora": 2e-2}[training]
    ran = evaluate(discovery, "dpo", "--arena", file, "--lr", rate, "--steps", 30, "--draws", 2, "--json")
    assert ran.code == 0, ran.err
    assert [each["failure"] for each in ran.json["measurements"]] == [None, None]
    assert ran.json["counts"] == "accuracy"
    for each in ran.json["measurements"]:
        assert each["metrics"]["accuracy"] > 0.8
        assert each["metrics"]["kl"] > 0
        assert "attained" not in each["metrics"]


def test_a_registered_arena_is_named_as_any_other(discovery: Command, api_env: dict[str, str], own_arena: Path) -> None:
    name = discovery("arena", "add", own_arena / "full.yaml", "--json", env=api_env).json["name"]
    ran = discovery("evaluate", "ipo", "--arena", "support", "--json", env=api_env | ONE_SLOT)
    assert ran.code == 0, ran.err
    assert name == f"support@{ran.json['arena_sha256'][:12]}"
    assert ran.json["measurements"][0]["setting"] == {"beta": 0.1, "learning_rate": 3e-3, "steps": 12}


def test_a_refused_loss_ends_with_5_and_trains_nothing(discovery: Command) -> None:
    source = DPO.replace("F.logsigmoid", "torch.load")
    ran = evaluate(discovery, "-", "--arena", "plain", stdin=source)
    assert ran.code == 5
    assert ran.out.startswith("refused: line 3, operation_not_allowed: ")
    answer = evaluate(discovery, "-", "--arena", "plain", "--json", stdin=source).json
    assert (answer["status"], answer["gate"]["line"], answer["measurements"]) == ("refused", 3, [])


def test_where_no_jail_can_be_locked_it_ends_with_4(discovery: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.gate.process.Jail", partial(Jail, command=("/bin/false",)))
    ran = evaluate(discovery, "dpo", "--arena", "plain", "--json")
    assert (ran.code, ran.json["status"]) == (4, "unavailable")


def test_a_loss_that_diverges_ends_with_1_and_says_where(discovery: Command) -> None:
    source = DPO.replace("-F.logsigmoid(beta * margin)", "-margin + torch.exp(2 * margin - 80)")
    ran = evaluate(discovery, "-", "--arena", "plain", "--lr", 0.03, "--steps", 60, "--json", stdin=source)
    assert ran.code == 1
    (measurement,) = ran.json["measurements"]
    assert measurement["metrics"] is None
    assert measurement["failure"]["code"] == "non_finite"
    assert 0 < measurement["failure"]["step"] < 60
    assert ran.json["summary"][0]["draws"] == 0


def test_an_arena_that_cannot_be_opened_is_no_fault_of_the_loss(
    discovery: Command, own_arena: Path, api_env: dict[str, str]
) -> None:
    """Its rows were changed after it was registered."""
    rows = own_arena / "later.jsonl"
    write_rows(rows, make_rows(40))
    (own_arena / "later.yaml").write_text(FILE.replace("rows.jsonl", rows.name))
    assert discovery("arena", "add", own_arena / "later.yaml", env=api_env).code == 0
    write_rows(rows, make_rows(41))
    ran = discovery("evaluate", "dpo", "--arena", "support", "--draws", 3, env=api_env | ONE_SLOT)
    assert ran.code == 1
    assert ran.err.count("is not what the arena was registered with") == 1
    assert "crashed" in ran.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("dpo", "--arena", "panels"), "panel:mini"),
        (
            ("no_such_loss", "--arena", "plain"),
            "neither a file nor a known loss of the family pairwise",
        ),
        (("none.py", "--arena", "plain"), "none.py cannot be read"),
        (("dpo", "--arena", "plain", "--base-policy", 3), "has no base policy 3"),
        (("dpo", "--arena", "none.yaml"), "none.yaml cannot be read"),
        (("dpo", "--arena", "plain", "--lr", "nan"), "nan is not above 0 and at most 1"),
        (("dpo", "--arena", "plain", "--lr", "0"), "0 is not above 0"),
        (("dpo", "--arena", "plain", "--beta", "1", "--beta", "inf"), "inf is not above 0 and at most 1000000"),
        (("dpo", "--arena", "plain", "--beta", "0"), "0 is not above 0"),
        (("dpo", "--arena", "plain", "--steps", "nan"), "--steps"),
        (("dpo", "--arena", "plain", "--steps", "100001"), "100000"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(discovery: Command, arguments: tuple[object, ...], says: str) -> None:
    ran = evaluate(discovery, *arguments)
    assert ran.code == 2
    assert says in ran.err
