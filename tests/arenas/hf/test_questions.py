"""Prompts that the policy answers itself: groups of its own answers, with the scorer's reward of each."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.domain.measuring import Setting
from discovery_service.losses.described import list_described
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.graph import read_graph
from discovery_service.losses.known import list_known
from tests.arenas.hf.conftest import DRAW, Open
from tests.arenas.hf.test_arena import both_ways
from tests.arenas.hf.tiny import make_rows, write_rows
from workers.arenas.hf.question_rows import BOUND
from workers.arenas.hf.questions import Question, read_questions
from workers.arenas.hf.rows import Bad, BadRows
from workers.arenas.hf.scorers import ScorerFailed
from workers.arenas.hf.speaking import Speaking
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train

torch.set_num_threads(1)
RECIPE = {"warm_up": 0, "schedule": "constant", "clip": 1.0, "adam_betas": [0.9, 0.95], "precision": "float32"}
GROUPS = {"family": "matching", "counts": "score", "per_device_train_batch_size": 8, "num_generations": 4}


def make_questions(count: int) -> list[dict[str, Any]]:
    return [{"prompt": row["prompt"]} for row in make_rows(count)]


def test_a_row_without_a_prompt_is_refused_by_number(tmp_path: Path, open_: Open) -> None:
    bad: Bad = {}
    rows = [{"prompt": "Q", "answer": "ignored"}, {}, {"prompt": " "}, {"prompt": []}, {"prompt": 3}]
    assert read_questions(write_rows(tmp_path / "rows.jsonl", rows), bad) == [Question(1, "Q")]
    assert {number: why.split(":")[0] for number, why in bad.items()} == {
        2: "has no prompt",
        3: "prompt is empty",
        4: "prompt is empty",
        5: "prompt is neither a text nor a list of messages with role and content in texts",
    }
    with pytest.raises(BadRows, match="row 7: prompt is empty"):
        open_(rows=[*make_questions(6), {"prompt": ""}], **GROUPS).open(0, DRAW)


@both_ways
def test_a_batch_is_of_groups_of_answers_that_the_policy_gave(open_: Open, changes: dict[str, Any]) -> None:
    task = open_(rows=make_questions(24), **GROUPS, **changes).open(0, DRAW)
    batch = task.batches.take(task.policy)
    wanted = {each.name for each in INPUTS[Family.MATCHING] if each.role in (Role.REFERENCE, Role.DATA)}
    assert batch.inputs.keys() == wanted
    groups = batch.inputs["group"].tolist()
    assert [groups.count(each) for each in dict.fromkeys(groups)] == [4, 4]
    assert set(batch.inputs["rewards"].tolist()) <= {0.0, 1.0}
    said = task.policy.log_probabilities(batch)["policy_token_logps"]
    mask = batch.inputs["mask"]
    assert said.shape == mask.shape == batch.inputs["reference_token_logps"].shape
    torch.testing.assert_close(said, batch.inputs["reference_token_logps"], rtol=1e-5, atol=1e-4)
    assert mask.sum(1).tolist() == batch.rows["is_completion"].sum(1).tolist()
    assert (said * (1 - mask)).abs().sum() == 0
    again = open_(rows=make_questions(24), **GROUPS, **changes).open(0, DRAW)
    assert torch.equal(again.batches.take(again.policy).rows["tokens"], batch.rows["tokens"])
    assert not torch.equal(task.batches.take(task.policy).inputs["group"], batch.inputs["group"])


def test_rows_of_one_prompt_are_of_one_group(open_: Open) -> None:
    task = open_(rows=[*make_questions(16), *[{"prompt": "The same"}] * 8], **GROUPS).open(0, DRAW)
    tokens: dict[int, set[bytes]] = {}
    for _ in range(5):
        batch = task.batches.take(task.policy)
        for group, row, said in zip(batch.inputs["group"].tolist(), *batch.rows.values(), strict=True):
            tokens.setdefault(group, set()).add(row[: int(said.long().argmax())].numpy().tobytes())
    assert [len(each) for each in tokens.values()] == [1] * len(tokens)
    assert len(set().union(*tokens.values())) == len(tokens)


def test_the_divergence_is_of_as_many_prompts_as_are_sampled_from(open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    task = open_(rows=make_questions(24), **GROUPS, evaluation={"held_out": 0.5, "prompts": 3}).open(0, DRAW)
    asked: list[int] = []
    reply = Speaking.reply

    def count(self: Speaking, model: Any, prompts: Any, uniforms: Any) -> Any:
        asked.append(len(prompts))
        return reply(self, model, prompts, uniforms)

    monkeypatch.setattr(Speaking, "reply", count)
    task.measure()
    assert asked == [3, 6]


def test_rewards_that_known_losses_cannot_tell_apart_are_the_scorers_fault(open_: Open) -> None:
    assert all(f"bound={BOUND}" in known.text for known in list_known(Family.MATCHING))
    scorer = {"kind": "length", "words": 400}
    with pytest.raises(ScorerFailed, match="100% of the base policy's answers 5 or more either way, -39"):
        open_(rows=make_questions(24), **GROUPS, evaluation={"scorer": scorer}).open(0, DRAW)


@pytest.mark.parametrize("loss", KNOWN_LOSSES[Family.MATCHING])
def test_every_known_loss_of_the_family_trains_on_prompts(open_: Open, loss: str) -> None:
    task = open_(rows=make_questions(24), **GROUPS).open(0, DRAW)
    program = Program(read_graph(list_described(Family.MATCHING)[loss].graph))
    train(task, program, Family.MATCHING, Setting(0.1, 3e-3, 3), Optimisation.of(RECIPE))
    found = task.measure()
    assert found["kl"] > 0
    assert found["pm_divergence"] > 0
    assert found["J"] == pytest.approx(found["score"] - found["kl"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"per_device_train_batch_size": 6}, "6, is no multiple of num_generations, 4"),
        ({"counts": "accuracy"}, "counts accuracy, which the family matching does not have"),
        ({"family": "pairwise"}, "num_generations, which only the family matching has"),
        ({"evaluation": {"scorer": None}}, "needs `evaluation.scorer`"),
    ],
)
def test_what_does_not_fit_the_family_is_refused(open_: Open, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        open_(rows=make_questions(4), **(GROUPS | changes))
