"""`discovery try`: a real jail and TRL's own trainer, no server."""

import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.arenas.hf.tiny import make_rows, save_folder, write_rows
from tests.cli.conftest import Command, Ran
from tests.cli.test_gate import DPO
from tests.losses.test_export import facts_of

if find_spec("trl") is None:
    pytest.skip("trl is not installed: pip install 'discovery-service[trl]'", allow_module_level=True)

from discovery_service.losses.export import write_module

ON_A_CPU = {"DISCOVERY__WORKER__DEVICES": "cpu"}
FEW = ("--steps", 4, "--seeds", 2, "--batch", 4, "--max-length", 100)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a model, and preferences of which three in ten are the other way round."""
    folder, choose = tmp_path_factory.mktemp("own"), random.Random(0)
    save_folder(folder / "model")
    rows = make_rows(80)
    for row in rows:
        if choose.random() < 0.3:
            row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    write_rows(folder / "rows.jsonl", rows)
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def try_(discovery: Command, own: Path, *arguments: object, **options: Any) -> Ran:
    place = ("--model", own / "model", "--data", own / "rows.jsonl")
    return discovery("try", *arguments, *place, *FEW, env=ON_A_CPU, **options)


def test_a_loss_and_dpo_have_the_same_effort_and_every_number_its_interval(discovery: Command, own: Path) -> None:
    ran = try_(discovery, own, "simpo", "--beta", 0.5, "--beta", 2, "--lr", 3e-3, "--json")
    assert ran.code == 0, ran.err
    told = ran.json
    assert (told["status"], told["loss"], told["against"], told["is_same"]) == ("tried", "simpo", "dpo", False)
    assert told["rows"] == {"trained": 51, "chosen_by": 13, "reported": 16}
    assert (told["trainings"], told["seeds"], told["prompts"]["reported"]) == (4, 2, 16)
    for loss in told["losses"]:
        assert [each["setting"]["beta"] for each in loss["tunings"]] == [2.0, 0.5]
        best = max(loss["tunings"], key=lambda each: each["accuracy"]["mean"])
        assert (loss["setting"], loss["failure"], loss["at_edge"]) == (best["setting"], None, ["beta"])
        assert loss["metrics"].keys() == {"accuracy", "margin", "kl", "length"}
        assert loss["metrics"]["kl"]["mean"] > 0
        for each in loss["metrics"].values():
            assert each["low"] < each["mean"] < each["high"]
    simpo, dpo = (loss["metrics"]["accuracy"]["mean"] for loss in told["losses"])
    assert told["difference"]["mean"] == pytest.approx(simpo - dpo)
    again = try_(discovery, own, "simpo", "--beta", 0.5, "--beta", 2, "--lr", 3e-3, "--json").json
    assert again == told


@pytest.mark.skipif(find_spec("peft") is None, reason="needs peft")
def test_an_exported_module_is_tried_with_lora_and_told_what_it_says_and_not(
    discovery: Command, own: Path, tmp_path: Path
) -> None:
    (tmp_path / "discovered_loss.py").write_text(write_module(facts_of(DPO)))
    ran = try_(discovery, own, tmp_path / "discovered_loss.py", "--lora", "--beta", 0.1, "--lr", 1e-2)
    assert ran.code == 0, ran.err
    assert "6 trainings of 4 steps on 51 rows: of either loss 1 setting, each tried once and chosen by 13" in ran.err
    table, ours, dpo = ran.out.splitlines()[:3]
    assert table.split() == ["loss", "beta", "learning", "rate", "accuracy", "margin", "kl", "length"]
    assert ours.split()[1:] == dpo.split()[1:]
    assert "loss is dpo: their graphs are equal, so that nothing is compared." in ran.out
    assert "This is no verdict of a campaign" in ran.out


def test_a_loss_that_comes_out_as_no_number_ends_with_1_and_dpo_is_told_all_the_same(
    discovery: Command, own: Path
) -> None:
    # Finite as far as the gate looks, which is 40 nats.
    source = DPO.replace("-F.logsigmoid(beta * margin)", "0.01 * torch.sqrt(1700 - margin**2) - margin")
    ran = try_(discovery, own, "-", "--beta", 1, "--lr", 0.5, "--json", stdin=source)
    ours, dpo = ran.json["losses"]
    assert (ran.code, ran.json["status"], ran.json["difference"]) == (1, "failed", None)
    assert (
        "none of the 1 settings could be trained with: what the policy says came out as no number." in ours["failure"]
    )
    assert (dpo["failure"], dpo["metrics"]["accuracy"]["mean"] > 0) == (None, True)


def test_a_refused_loss_ends_with_5_and_trains_nothing(discovery: Command, own: Path) -> None:
    source = DPO.replace("F.logsigmoid", "torch.load")
    ran = try_(discovery, own, "-", stdin=source)
    assert (ran.code, ran.out.startswith("refused: line 3, operation_not_allowed: ")) == (5, True)
    assert "losses" not in try_(discovery, own, "-", "--json", stdin=source).json


def test_without_the_extra_it_says_what_to_install(
    discovery: Command, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.trying.extra.find_spec", lambda name: None)
    ran = try_(discovery, own, "simpo", "--lora")
    assert ran.code == 2
    assert "trl and datasets and peft are not installed: pip install 'discovery-service[trl]'" in ran.err


def test_what_a_user_can_mend_is_said_before_anything_trains(discovery: Command, own: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "model").symlink_to(own / "model")
    bad = try_(discovery, tmp_path, "simpo")
    assert (bad.code, "1 row cannot be used; row 1: has no chosen" in bad.err) == (2, True)
    (tmp_path / "model").unlink()
    assert "The tokenizer in" in try_(discovery, tmp_path, "simpo").err
