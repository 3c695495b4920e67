"""`discovery compare`: a real jail and a real runtime, no server."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.arenas.hf.tiny import make_rows, save_folder, write_rows
from tests.cli.conftest import Command, Ran
from tests.cli.test_arena import FILE
from tests.cli.test_evaluate import ONE_SLOT
from tests.cli.test_gate import DPO
from workers.compare import plot as plotting


@pytest.fixture(scope="module")
def own_arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An operator's, with one model."""
    folder = tmp_path_factory.mktemp("own")
    save_folder(folder / "model")
    write_rows(folder / "rows.jsonl", make_rows(40))
    (folder / "support.yaml").write_text(FILE.replace("max_steps: 12", "max_steps: 2"))
    return folder / "support.yaml"


def compare(discovery: Command, *arguments: object, **options: Any) -> Ran:
    return discovery("compare", *arguments, env=ONE_SLOT, **options)


def test_an_operators_arena_with_one_model_gives_a_verdict_and_a_picture(
    discovery: Command, own_arena: Path, tmp_path: Path
) -> None:
    (tmp_path / "copy.py").write_text(DPO)
    picture = tmp_path / "differences.png"
    drawing = ("--plot", picture) if find_spec("matplotlib") else ()
    ran = compare(discovery, "lrml", tmp_path / "copy.py", "--arena", own_arena, "--confirm", 2, "--json", *drawing)
    assert ran.code == 0, ran.err
    told = ran.json
    assert (told["status"], told["counts"], told["base_policies"], told["draws"]) == ("compared", "accuracy", [0], 2)
    assert ran.err.startswith(
        "At most 28 trainings in support: of each loss 11 to tune it and 2 to confirm, and 2 more of dpo at "
    )
    dpo, lrml, copy = told["losses"]
    assert (dpo["name"], lrml["name"], copy["name"]) == ("dpo", "lrml", "copy.py")
    assert lrml["difference"]["low"] <= lrml["difference"]["mean"] <= lrml["difference"]["high"]
    assert "It rises for z in (-0.1186, 0.0720)." in lrml["warnings"]
    assert (copy["same_as"], copy["verdict"]) == ("dpo", "not distinguishable from")
    assert told["claim"].startswith("This holds for the base policy 0 of support")
    assert not drawing or picture.stat().st_size > 10_000


def test_the_same_for_people(discovery: Command, own_arena: Path) -> None:
    ran = compare(discovery, "lrml", "--arena", own_arena, "--confirm", 2)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].split()[:2] == ["loss", "beta"]
    assert lines[1].rstrip().endswith("reference")
    assert "  It rises for z in (-0.1186, 0.0720)." in lines
    assert lines[-1].startswith("This holds for the base policy 0 of support")


def test_all_refusals_are_told_at_once_and_nothing_is_trained(discovery: Command, tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(DPO.replace("F.logsigmoid", "torch.load"))
    (tmp_path / "second.py").write_text("def loss(nothing): return nothing")
    bad = (tmp_path / "first.py", tmp_path / "second.py")
    ran = compare(discovery, "slic", *bad, "--arena", "plain")
    assert ran.code == 5
    assert "first.py refused: line 3, operation_not_allowed: " in ran.out
    assert "second.py refused: " in ran.out
    assert "slic accepted" in ran.out
    assert "trainings" not in ran.err
    told = compare(discovery, "slic", *bad, "--arena", "plain", "--json")
    assert (told.code, told.json["status"]) == (5, "refused")
    assert [each["gate"]["status"] for each in told.json["losses"]] == ["accepted", "accepted", "refused", "refused"]


def test_a_crash_ends_with_1_and_says_what_to_do(
    discovery: Command, own_arena: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.slots.COMMAND", ("/bin/false",))
    ran = compare(discovery, "ipo", "--arena", own_arena, "--json")
    assert (ran.code, ran.json["status"]) == (1, "crashed")
    assert "which is no fault of the loss" in ran.json["message"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("dpo", "--arena", "plain"), "nothing to compare with dpo"),
        (("ipo", "ipo", "--arena", "plain"), "ipo is named 2 times"),
        (("no_such_loss", "--arena", "plain"), "neither a file nor a known loss"),
        (("ipo", "--against", "none.py", "--arena", "plain"), "none.py cannot be read"),
        (("ipo", "--arena", "plain", "--confirm", 10), "must be a multiple of 3"),
        (("ipo", "--arena", "panels"), "panel:mini"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(discovery: Command, arguments: tuple[object, ...], says: str) -> None:
    ran = compare(discovery, *arguments)
    assert ran.code == 2
    assert says in ran.err


def test_a_picture_that_cannot_be_made_is_refused_before_anything_else(
    discovery: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plotting, "find_spec", lambda _: None)
    ran = compare(discovery, "ipo", "--arena", "plain", "--plot", tmp_path / "new.png")
    assert ran.code == 2
    assert "discovery-service[plot]" in ran.err
