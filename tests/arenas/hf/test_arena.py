"""An operator's arena from a folder and a file: what a draw divides, what is trained, what is measured."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose
from discovery_service.losses.described import list_described
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.graph import read_graph
from tests.arenas.hf.conftest import CPU, DRAW, ROWS, Open, describe
from tests.arenas.hf.tiny import make_rows, save_folder, write_rows
from workers.arenas.arena import Arena
from workers.arenas.cache import Cache
from workers.arenas.hf.arena import HfArena
from workers.arenas.hf.contents import FilesChanged
from workers.arenas.hf.folders import UnusableFolder
from workers.arenas.hf.pair_rows import PairRows
from workers.arenas.hf.rows import BadRows
from workers.arenas.hf.scorers import ScorerFailed, read_scoring_package
from workers.arenas.hf.values import find_values
from workers.arenas.opening import open_arena
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train

torch.set_num_threads(1)
needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="needs peft")
LORA = {"use_peft": True, "lora_r": 4, "lora_target_modules": "all-linear"}
both_ways = pytest.mark.parametrize(
    "changes", [pytest.param({}, id="full"), pytest.param(LORA, id="lora", marks=needs_peft)]
)


def train_dpo(task: Any, *, steps: int = 12, learning_rate: float = 3e-3, precision: str = "float32") -> dict[str, Any]:
    program = Program(read_graph(list_described(Family.PAIRWISE)["dpo"].graph))
    recipe = {"warm_up": 0, "schedule": "constant", "clip": 1.0, "adam_betas": [0.9, 0.95], "precision": precision}
    setting = Setting(0.1, learning_rate, steps)
    trained = train(task, program, Family.PAIRWISE, setting, Optimisation.of(recipe))
    return {"series": trained.series, "metrics": task.measure()}


def weights_of(arena: HfArena) -> dict[str, torch.Tensor]:
    model = arena._bases[0].model
    return {name: each.clone() for name, each in model.state_dict().items() if "lora" not in name}


@both_ways
@pytest.mark.parametrize("style", ["standard", "conversational", "implicit", "implicit conversational"])
def test_dpo_learns_a_users_preferences(open_: Open, style: str, changes: dict[str, Any]) -> None:
    task = open_(style=style, **changes).open(0, DRAW)
    trained = train_dpo(task, steps=30, learning_rate=1e-2 if changes else 3e-3)
    assert trained["metrics"]["accuracy"] >= 0.9
    assert trained["metrics"]["kl"] > 0.1
    assert trained["series"]["loss"][0] == pytest.approx(0.6931, abs=1e-4)
    assert trained["series"]["loss"][-1] < 0.6


@both_ways
def test_before_training_the_policy_is_the_reference(open_: Open, changes: dict[str, Any]) -> None:
    task = open_(**changes).open(0, DRAW)
    found = task.measure()
    assert (found["accuracy"], found["kl"], found["win_rate"]) == (0.5, 0.0, 0.5)
    assert found["J"] == found["score"]
    assert "attained" not in found
    batch = task.batches.take(task.policy)
    said = task.policy.log_probabilities(batch)
    for side in ("chosen", "rejected"):
        reference = batch.inputs[f"reference_{side}_logps"]
        torch.testing.assert_close(said[f"policy_{side}_logps"], reference, rtol=1e-5, atol=1e-4)


def score_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The longer the prompt, the lower; and an answer about a dog is not wanted."""
    return [
        row
        | {
            f"{side}_aux": -float(row["prompt"].count("Well,")) - ("dog" in row[side])
            for side in ("chosen", "rejected")
        }
        for row in rows
    ]


@both_ways
def test_rows_with_auxiliary_scores_train_a_loss_of_that_family(open_: Open, changes: dict[str, Any]) -> None:
    rows = score_rows(make_rows(ROWS))
    task = open_(rows=rows, family="auxiliary", **changes).open(0, DRAW)
    batch = task.batches.take(task.policy)
    wanted = {each.name for each in INPUTS[Family.AUXILIARY] if each.role in (Role.REFERENCE, Role.DATA)}
    assert batch.inputs.keys() == wanted
    assert set(batch.inputs["chosen_aux"].tolist()) <= {-row["prompt"].count("Well,") - 1.0 for row in rows} | {
        -float(row["prompt"].count("Well,")) for row in rows
    }
    # What a prompt is worth is learnt from the prompt: the lower its answers' scores, the lower.
    values, scores = [], []
    for _ in range(7):
        batch = task.batches.take(task.policy)
        values += batch.inputs["prompt_value"].tolist()
        scores += ((batch.inputs["chosen_aux"] + batch.inputs["rejected_aux"]) / 2).tolist()
    assert float(torch.corrcoef(torch.tensor([values, scores]))[0, 1]) > 0.5
    program = Program(read_graph(list_described(Family.AUXILIARY)["upo_dpo"].graph))
    recipe = {"warm_up": 0, "schedule": "constant", "clip": 1.0, "adam_betas": [0.9, 0.95], "precision": "float32"}
    train(task, program, Family.AUXILIARY, Setting(0.1, 3e-3, 4), Optimisation.of(recipe))
    assert task.measure()["kl"] > 0


def test_what_is_expected_of_a_prompt_is_not_learnt_from_its_own_scores(open_: Open) -> None:
    arena = open_(rows=score_rows(make_rows(ROWS)), family="auxiliary")
    arena.open(0, DRAW)
    rows, trained = arena._bases[0].rows, range(30)
    assert isinstance(rows, PairRows)
    assert rows.read is not None
    scores = torch.tensor([pair.row.scores for pair in rows.items])
    values = find_values(rows.items, rows.read, scores, trained)
    assert values[30:].abs().sum() == 0
    scores[7] += 100
    again = find_values(rows.items, rows.read, scores, trained)
    assert again[7] == values[7]
    assert not torch.equal(again, values)


def test_rows_without_the_scores_of_their_family_are_refused_by_number(open_: Open) -> None:
    rows = score_rows(make_rows(ROWS))
    del rows[6]["rejected_aux"]
    with pytest.raises(BadRows, match="1 row cannot be used; row 7: has no rejected_aux"):
        open_(rows=rows, family="auxiliary").open(0, DRAW)


def test_a_batch_has_every_input_of_the_family_and_at_least_two_rows(open_: Open) -> None:
    task = open_(per_device_train_batch_size=7).open(0, DRAW)
    wanted = {each.name for each in INPUTS[Family.PAIRWISE] if each.role in (Role.REFERENCE, Role.DATA)}
    sizes = set()
    for _ in range(12):
        batch = task.batches.take(task.policy)
        assert batch.inputs.keys() == wanted
        sizes |= {len(each) for each in batch.inputs.values()}
        assert set(batch.inputs["annotator"].tolist()) <= {0, 1}
        lengths = torch.cat((batch.inputs["chosen_lengths"], batch.inputs["rejected_lengths"]))
        assert lengths.tolist() == batch.rows["is_completion"].sum(1).tolist()
    assert sizes == {7}, "30 rows are four batches of 7 a pass, and what is left over is not a smaller one"


def test_each_draw_divides_the_rows_anew_and_prompts_are_never_on_both_sides(open_: Open) -> None:
    rows = make_rows(20)
    arena = open_(rows=[*rows, *(row | {"chosen": " lovely"} for row in rows)])
    seen = set()
    for key in "012":
        task = arena.open(0, Draw(Purpose.TUNE, key))
        items = arena._bases[0].rows.items
        trained = {items[row].row.prompt for row in task.batches._trained}
        held_out = {items[row].row.prompt for row in task._examination.division.held_out}
        assert trained.isdisjoint(held_out)
        assert trained | held_out == {row["prompt"] for row in rows}
        assert len(task._examination.division.held_out) == 10
        prompted = [pair.row.prompt for pair in task._examination.prompted]
        assert len(prompted) == len(set(prompted)) == 5
        seen.add(frozenset(map(str, held_out)))
    assert len(seen) == 3


def test_a_placebos_salt_changes_the_order_alone(open_: Open) -> None:
    arena = open_()
    plain, salted = (arena.open(0, Draw(Purpose.TUNE, "0", salt=salt)) for salt in ("", "a candidate"))
    assert plain._examination.division.held_out == salted._examination.division.held_out
    first, other = (task.batches.take(task.policy).rows["tokens"] for task in (plain, salted))
    assert first.shape != other.shape or not torch.equal(first, other)


@both_ways
def test_the_same_evaluation_repeats_every_bit_on_a_warm_and_on_a_cold_cache(
    open_: Open, tmp_path: Path, changes: dict[str, Any]
) -> None:
    arena = open_(**changes)
    first = train_dpo(arena.open(0, DRAW))
    arena.open(0, Draw(Purpose.TUNE, "another"))
    assert train_dpo(arena.open(0, DRAW)) == first
    assert train_dpo(open_(**changes).open(0, DRAW)) == first
    Cache(tmp_path / "cache").prune()
    assert train_dpo(open_(**changes).open(0, DRAW)) == first


def test_what_was_made_of_other_tokens_is_not_found_again(open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the same document: another version of a library may write a template otherwise."""
    open_(style="conversational").open(0, DRAW)
    monkeypatch.setattr("workers.arenas.hf.tokenising._count_shared", lambda *_: 3)
    task = open_(style="conversational").open(0, DRAW)
    found = task.measure()
    assert (found["accuracy"], found["kl"]) == (0.5, 0)


@both_ways
def test_training_leaves_the_base_policy_as_it_was(open_: Open, changes: dict[str, Any]) -> None:
    arena = open_(**changes)
    task = arena.open(0, DRAW)
    before = weights_of(arena)
    train_dpo(task)
    after = weights_of(arena)
    assert all(torch.equal(before[name], each) for name, each in after.items())
    fresh = arena.open(0, DRAW)
    assert fresh.measure()["kl"] == 0


@needs_peft
def test_only_an_adapter_is_trained_and_each_draw_begins_it_elsewhere(open_: Open) -> None:
    arena = open_(**LORA)
    task = arena.open(0, DRAW)
    trained = [each.shape for each in task.policy.parameters()]
    assert {min(shape) for shape in trained} == {4}
    first = [each.clone() for each in task.policy.parameters()]
    again = [each.clone() for each in arena.open(0, DRAW).policy.parameters()]
    other = [each.clone() for each in arena.open(0, Draw(Purpose.TUNE, "1")).policy.parameters()]
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


@both_ways
def test_bfloat16_trains_in_float32_and_measures(open_: Open, changes: dict[str, Any]) -> None:
    task = open_(bf16=True, **changes).open(0, DRAW)
    assert task.measure()["kl"] == 0
    trained = train_dpo(task, precision="bfloat16")
    assert {each.dtype for each in task.policy.parameters()} == {torch.float32}
    assert trained["metrics"]["kl"] > 0


def test_dropout_is_off_in_training_too(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "model", attention_dropout=0.5)
    document = describe(folder, write_rows(tmp_path / "rows.jsonl", make_rows(ROWS)))
    task = HfArena(document, CPU, Cache(tmp_path / "cache")).open(0, DRAW)
    assert task.policy.model.config.attention_dropout == 0.5
    batch = task.batches.take(task.policy)
    first, again = (task.policy.log_probabilities(batch)["policy_chosen_logps"] for _ in range(2))
    assert torch.equal(first, again)
    torch.testing.assert_close(first, batch.inputs["reference_chosen_logps"], rtol=1e-5, atol=1e-4)


def test_several_base_policies_are_told_apart(folder: Path, tmp_path: Path) -> None:
    other = save_folder(tmp_path / "other", seed=1)
    data = write_rows(tmp_path / "rows.jsonl", make_rows(ROWS))
    document = describe(folder, data, model_name_or_path=[str(folder), str(other)])
    arena = open_arena(document, CPU, tmp_path / "cache")
    assert isinstance(arena, HfArena)
    arena.open(0, DRAW), arena.open(1, DRAW)
    assert not torch.equal(arena._bases[0].rows.reference, arena._bases[1].rows.reference)
    with pytest.raises(ValueError, match="2 base policies; 2 is none"):
        arena.open(2, DRAW)


def test_it_lets_go_of_what_was_used_longest_ago(folder: Path, tmp_path: Path) -> None:
    other = save_folder(tmp_path / "other", seed=1)
    data = write_rows(tmp_path / "rows.jsonl", make_rows(ROWS))
    arena: Arena = HfArena(
        describe(folder, data, model_name_or_path=[str(folder), str(other)]), CPU, Cache(tmp_path / "cache")
    )
    arena.open(0, DRAW), arena.open(1, DRAW)
    both = arena.held_bytes()
    arena.forget(1)
    assert 0 < arena.held_bytes() < both
    arena.forget(both)
    assert arena.held_bytes() == 0


def test_bad_rows_are_refused_before_anything_is_loaded(open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.arenas.hf.arena.load_model", lambda *_, **__: pytest.fail("the model was loaded"))
    rows = make_rows(ROWS)
    rows[3]["chosen"], rows[7]["rejected"] = "", "very " * 500
    del rows[5]["rejected"]
    with pytest.raises(BadRows) as caught:
        open_(rows=rows).open(0, DRAW)
    assert caught.value.bad.keys() == {4, 6, 8}
    assert "more than max_length, 100" in caught.value.bad[8]


def test_a_file_without_rows_is_told_to_have_none(open_: Open) -> None:
    with pytest.raises(ValueError, match=r"rows\.jsonl holds no rows"):
        open_(rows=[]).open(0, DRAW)


@pytest.mark.parametrize("changed", ["model", "data"])
def test_a_file_that_changed_since_is_refused(folder: Path, tmp_path: Path, changed: str) -> None:
    model = save_folder(tmp_path / "model")
    data = write_rows(tmp_path / "rows.jsonl", make_rows(ROWS))
    document = describe(model, data)
    with (data if changed == "data" else model / "tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(FilesChanged, match="discovery arena add"):
        HfArena(document, CPU, Cache(tmp_path / "cache")).open(0, DRAW)


def test_too_few_rows_for_a_batch_are_refused(open_: Open) -> None:
    with pytest.raises(ValueError, match="30 rows to train on, fewer than a batch of 32"):
        open_(per_device_train_batch_size=32).open(0, DRAW)


@needs_peft
def test_an_adapter_that_fits_nowhere_is_the_operators_to_mend(open_: Open) -> None:
    with pytest.raises(UnusableFolder, match="fits no part of the model"):
        open_(**LORA | {"lora_target_modules": ["nowhere"]}).open(0, DRAW)


SCORING = """
def count_words(prompt, completion):
    assert isinstance(prompt, str)
    return len(completion.split())

def fail(prompt, completion):
    raise KeyError("no such word")

def answer_nan(prompt, completion):
    return float("nan")
"""


@pytest.fixture
def scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the operator's own, where Python finds it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_scoring.py").write_text(SCORING)
    return tmp_path / "my_scoring.py"


def scored_by(function: str, **changes: Any) -> dict[str, Any]:
    place = f"my_scoring:{function}"
    return {
        "evaluation": {"scorer": place, "kl_weight": 2.0},
        "scorer_sha256": read_scoring_package(place).sha256,
        **changes,
    }


@pytest.mark.usefixtures("scoring")
def test_an_operators_function_scores(open_: Open) -> None:
    found = open_(**scored_by("count_words"), counts="J").open(0, DRAW).measure()
    assert found["score"] is not None
    assert found["score"] > 0


@pytest.mark.usefixtures("scoring")
@pytest.mark.parametrize(
    ("function", "says"),
    [("fail", "fails: KeyError: 'no such word'"), ("answer_nan", "answers nan"), ("missing", "cannot be imported")],
)
def test_a_function_that_fails_is_named(open_: Open, function: str, says: str) -> None:
    with pytest.raises(ScorerFailed, match=says):
        open_(**scored_by(function)).open(0, DRAW)


def test_a_function_that_was_changed_since_is_refused(open_: Open, scoring: Path) -> None:
    changes = scored_by("count_words")
    scoring.write_text(f"{SCORING}#")
    with pytest.raises(FilesChanged, match="The package my_scoring is not"):
        open_(**changes).open(0, DRAW)


def test_a_function_that_is_registered_anew_scores_as_it_says_now(open_: Open, scoring: Path) -> None:
    """In the same process, whose modules Python keeps, and with a file of the same size and second."""
    stamp = scoring.stat()
    found = []
    for value in "12":
        scoring.write_text(f"def score(prompt, completion):\n    return {value}\n")
        os.utime(scoring, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        found.append(open_(**scored_by("score")).open(0, DRAW))
    assert [task.measure()["score"] for task in found] == [1, 2]


def test_without_a_scorer_only_preferences_are_scored(open_: Open) -> None:
    found = open_(evaluation={"scorer": None}).open(0, DRAW).measure()
    assert (found["score"], found["J"], found["win_rate"]) == (None, None, None)
    assert found["accuracy"] == 0.5


def test_j_is_the_score_less_the_weighted_divergence(open_: Open) -> None:
    task = open_(evaluation={"kl_weight": 0.25}).open(0, DRAW)
    found = train_dpo(task)["metrics"]
    assert found["J"] == pytest.approx(found["score"] - 0.25 * found["kl"])
