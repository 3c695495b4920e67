"""Answers come from the policy's own probabilities at the given random numbers, whatever a cache remembers."""

from typing import Any

import pytest
import torch

from tests.arenas.conftest import LoadPolicy
from workers.arenas.sampling import Sampled, make_uniforms, sample
from workers.arenas.texts import END, PAD, PROMPT, TEXT, make_prompts

COUNT = 512
Case = tuple[Any, Sampled, torch.Tensor]


@pytest.fixture(scope="module", params=[0.0, 0.2])
def sampled(request: pytest.FixtureRequest, mini_policy: LoadPolicy) -> Case:
    model, uniforms = mini_policy(request.param, 0), make_uniforms(COUNT, 2)
    return model, sample(model, make_prompts(COUNT, 1), uniforms, keep_logits=True), uniforms


def test_the_logits_that_are_kept_are_those_of_a_pass_over_the_whole_text(sampled: Case) -> None:
    model, found, _ = sampled
    with torch.no_grad():
        whole = model(input_ids=found.texts[:, :-1]).logits[:, PROMPT - 1 :]
    torch.testing.assert_close(found.logits, whole, atol=2e-5, rtol=1e-5)


def test_a_token_is_where_the_cumulated_probability_passes_the_random_number(sampled: Case) -> None:
    _, found, uniforms = sampled
    probabilities = found.logits.double().softmax(-1)
    probabilities[..., PAD] = 0
    cumulated = probabilities.cumsum(-1) / probabilities.sum(-1, keepdim=True)
    answers = found.texts[:, PROMPT:]
    is_live = answers != PAD
    above = cumulated.gather(-1, answers[..., None])[..., 0]
    below = above - probabilities.gather(-1, answers[..., None])[..., 0]
    assert bool((above[is_live] >= uniforms[is_live] - 1e-5).all())
    assert bool((below[is_live] <= uniforms[is_live] + 1e-5).all())


def test_behind_the_end_there_is_only_padding_and_before_it_none(sampled: Case) -> None:
    _, found, _ = sampled
    answers = found.texts[:, PROMPT:]
    has_ended = (answers == END).cumsum(1) - (answers == END).long() > 0
    assert torch.equal(answers == PAD, has_ended)
    assert found.texts.shape == (COUNT, TEXT)


def test_a_policy_that_says_no_numbers_still_gives_tokens(mini_policy: LoadPolicy) -> None:
    model = mini_policy(0.2, 0)
    model.lm_head.weight.fill_(float("nan"))
    texts = sample(model, make_prompts(4, 1), make_uniforms(4, 1)).texts
    assert bool(((texts >= 0) & (texts < 75)).all())
