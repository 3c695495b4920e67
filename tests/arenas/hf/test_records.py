"""Rows with outcomes: which can be used, what a model is fitted to, and what the held-out ones say of a policy."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.domain.measuring import Setting
from discovery_service.losses.described import list_described
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.graph import read_graph
from tests.arenas.hf.conftest import DRAW, Open
from tests.arenas.hf.tiny import WORDS, write_rows
from workers.arenas.hf.record_rows import RecordRows, predict_outcomes
from workers.arenas.hf.records import Record, read_records
from workers.arenas.hf.rows import Bad, BadRows
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train

torch.set_num_threads(1)
GOOD = {"prompt": "Q", "completion": "yes", "outcome": 1, "propensity": 0.25}
RECIPE = {"warm_up": 0, "schedule": "constant", "clip": 1.0, "adam_betas": [0.9, 0.95], "precision": "float32"}


def read(tmp_path: Path, *rows: Any) -> tuple[list[Record], Bad]:
    bad: Bad = {}
    return read_records(write_rows(tmp_path / "rows.jsonl", list(rows)), bad), bad


def make_records(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Kind answers come to more, and every answer of a prompt was as likely as any other."""
    choose = random.Random(seed)
    rows = []
    for number in range(count):
        kind = choose.choice(["good", "bad"])
        thing, word = choose.choice(WORDS["thing"]), choose.choice(WORDS[kind])
        outcome = (1.0 if kind == "good" else -1.0) + choose.gauss(0, 0.3)
        asked = f"{'Well, ' * (number % 4)}number {number}: How is the {thing} ?"
        row = {"prompt": asked, "completion": f" The {thing} is {word} .", "outcome": outcome}
        rows.append(row | {"behavior_logp": -math.log(10)})
    return rows


def test_a_propensity_is_read_in_nats(tmp_path: Path) -> None:
    found, bad = read(tmp_path, GOOD, GOOD | {"propensity": None, "behavior_logp": -2, "annotator": "any"})
    assert found == [Record(1, "Q", "yes", 1.0, math.log(0.25)), Record(2, "Q", "yes", 1.0, -2.0)]
    assert bad == {}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({name: value for name, value in GOOD.items() if name != "outcome"}, "has no outcome"),
        ({name: value for name, value in GOOD.items() if name != "completion"}, "has no completion"),
        ({name: value for name, value in GOOD.items() if name != "prompt"}, "has no prompt"),
        (
            {name: value for name, value in GOOD.items() if name != "propensity"},
            "has neither propensity nor behavior_logp",
        ),
        (GOOD | {"outcome": math.nan}, "outcome is nan, which is not finite"),
        (GOOD | {"outcome": 1e39}, "outcome is 1e+39, and beyond 1e+12 either way nothing is computed"),
        (GOOD | {"propensity": None, "behavior_logp": -1e39}, "behavior_logp is -1e+39, and beyond"),
        (GOOD | {"outcome": "good"}, "outcome is no number"),
        (GOOD | {"propensity": 0}, "propensity is 0: an answer that was given had a chance above 0"),
        (GOOD | {"propensity": 1.5}, "propensity is 1.5"),
        (GOOD | {"propensity": 1.0000001}, "propensity is 1.0000001"),
        (GOOD | {"propensity": math.inf}, "propensity is inf, which is not finite"),
        (GOOD | {"behavior_logp": -1}, "both behavior_logp and propensity"),
        (GOOD | {"propensity": None, "behavior_logp": 0.1}, "behavior_logp is 0.1: a log-probability is not above 0"),
        (GOOD | {"prompt": " "}, "prompt is empty"),
        (GOOD | {"completion": ""}, "completion is empty"),
        (GOOD | {"completion": [{"role": "assistant", "content": "yes"}]}, "one of prompt and completion as a text"),
        ([], "is no JSON object"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(tmp_path: Path, row: Any, says: str) -> None:
    found, bad = read(tmp_path, GOOD, row)
    assert [each.number for each in found] == [1]
    assert says in bad[2]


def test_nothing_is_trained_on_a_file_that_holds_a_bad_row(open_: Open, tmp_path: Path) -> None:
    rows = make_records(40)
    rows[4]["outcome"] = math.nan
    with pytest.raises(BadRows, match="1 row cannot be used; row 5: outcome is nan"):
        open_(rows=rows, family="outcome", counts="value").open(0, DRAW)
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("loss", KNOWN_LOSSES[Family.OUTCOME])
def test_every_known_loss_of_the_family_trains_on_recorded_rows(open_: Open, loss: str) -> None:
    task = open_(rows=make_records(40), family="outcome", counts="value").open(0, DRAW)
    batch = task.batches.take(task.policy)
    wanted = {each.name for each in INPUTS[Family.OUTCOME] if each.role in (Role.REFERENCE, Role.DATA)}
    assert batch.inputs.keys() == wanted
    said = task.policy.log_probabilities(batch)
    for name in ("policy_logps", "sampled_policy_logps"):
        reference = batch.inputs[name.replace("policy", "reference")]
        torch.testing.assert_close(said[name], reference, rtol=1e-5, atol=1e-4)
    program = Program(read_graph(list_described(Family.OUTCOME)[loss].graph))
    train(task, program, Family.OUTCOME, Setting(0.1, 3e-3, 4), Optimisation.of(RECIPE))
    found = task.measure()
    assert found["kl"] > 0
    assert 0 < found["weighted_rows"] <= 1


def test_a_policy_that_learns_from_outcomes_is_expected_to_have_better_ones(open_: Open) -> None:
    arena = open_(rows=make_records(160), family="outcome", counts="value", per_device_train_batch_size=16)
    task = arena.open(0, DRAW)
    before = task.measure()["value"]
    task = arena.open(0, DRAW)
    program = Program(read_graph(list_described(Family.OUTCOME)["cpo"].graph))
    train(task, program, Family.OUTCOME, Setting(0.1, 1e-2, 40), Optimisation.of(RECIPE))
    assert task.measure()["value"] > before + 0.3


def test_an_outcome_is_predicted_by_what_other_prompts_taught(open_: Open) -> None:
    arena = open_(rows=make_records(400), family="outcome", counts="value")
    arena.open(0, DRAW)
    rows = arena._bases[0].rows
    assert isinstance(rows, RecordRows)
    trained = list(range(360))
    predicted = predict_outcomes(rows, trained)
    outcomes = torch.tensor([each.row.outcome for each in rows.items])
    assert float(torch.corrcoef(torch.stack((predicted[trained, 0], outcomes[trained])))[0, 1]) > 0.1
    assert predicted[360:].abs().sum() == 0
    # What a row itself came to does not change what is expected of it, and what others are expected to does.
    object.__setattr__(rows.items[7].row, "outcome", 100.0)
    again = predict_outcomes(rows, trained)
    assert torch.equal(again[7], predicted[7])
    assert not torch.equal(again[trained], predicted[trained])


@pytest.mark.parametrize("prompts", [2, 3])
def test_answers_to_few_prompts_teach_what_others_to_it_come_to(open_: Open, prompts: int) -> None:
    """As the rows of an experiment on one page are."""
    rows = [row | {"prompt": f"Question {number % prompts}"} for number, row in enumerate(make_records(48))]
    arena = open_(rows=[*rows, GOOD], family="outcome", counts="value")
    arena.open(0, DRAW)
    known = arena._bases[0].rows
    assert isinstance(known, RecordRows)
    predicted = predict_outcomes(known, range(48))[:48, 0]
    outcomes = torch.tensor([row["outcome"] for row in rows])
    assert float(torch.corrcoef(torch.stack((predicted, outcomes)))[0, 1]) > 0.1
    # Of one row beside another there is nothing to learn but its outcome.
    assert predict_outcomes(known, [0, 1])[:2, 0].tolist() == pytest.approx(outcomes[[1, 0]].tolist())


def test_a_recorded_answer_ends_where_those_of_the_policy_do(open_: Open) -> None:
    rows = make_records(12)
    for row in rows:
        row["prompt"] = [{"role": "user", "content": row["prompt"]}]
        row["completion"] = [{"role": "assistant", "content": row["completion"]}]
    arena = open_(rows=rows, family="outcome", counts="value", per_device_train_batch_size=2)
    arena.open(0, DRAW)
    base = arena._bases[0]
    assert {int(item.answer[-1]) for item in base.rows.items} <= set(base.speaking.ends)


def test_a_prompt_with_the_longest_answer_that_may_be_sampled_is_no_longer_than_a_row_may_be(open_: Open) -> None:
    limits = {"max_length": 60, "evaluation": {"max_new_tokens": 30}}
    with pytest.raises(
        BadRows, match=r"row 8: prompt has 33 tokens: with max_new_tokens, 30, more than max_length, 60"
    ):
        open_(rows=make_records(12), family="outcome", counts="value", **limits).open(0, DRAW)


@pytest.mark.parametrize(("family", "counts"), [("outcome", "accuracy"), ("pairwise", "value")])
def test_a_metric_of_another_family_does_not_count(open_: Open, family: str, counts: str) -> None:
    with pytest.raises(ValueError, match=f"counts {counts}, which the family {family} does not have"):
        open_(rows=make_records(4), family=family, counts=counts)
