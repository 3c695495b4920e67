"""Replies from given random numbers, to prompts of many lengths."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig

from tests.arenas.hf.test_completions import MODELS, VOCABULARY
from tests.arenas.hf.tiny import make_model
from workers.arenas.hf.folders import find_ends
from workers.arenas.hf.replies import find_divergences, find_diversity, make_uniforms, sample

END = 2


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]()


def prompts(count: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, VOCABULARY, (1 + number % 7,), generator=generator) for number in range(count)]


def reply_alone(model: Any, prompt: Tensor, uniforms: Tensor) -> list[int]:
    """Inverse CDF as a textbook has it."""
    text, said = prompt.tolist(), []
    for uniform in uniforms.tolist():
        cumulated = model(input_ids=torch.tensor([text])).logits[0, -1].double().softmax(-1).cumsum(0)
        token = int((cumulated <= uniform * cumulated[-1]).sum())
        text.append(token)
        said.append(token)
        if token == END:
            break
    return said


def test_a_reply_does_not_depend_on_the_prompts_beside_it(model: Any) -> None:
    asked, uniforms = prompts(), make_uniforms(5, 12, seed=3)
    replies = sample(model, asked, uniforms, [END])
    with torch.no_grad():
        wanted = [reply_alone(model, *each) for each in zip(asked, uniforms, strict=True)]
    assert [reply.tolist() for reply in replies] == wanted


def test_more_prompts_than_are_done_at_once_are_all_answered_in_their_order() -> None:
    model, asked, uniforms = make_model(VOCABULARY).eval(), prompts(70), make_uniforms(70, 3, seed=0)
    replies = sample(model, asked, uniforms, [END])
    with torch.no_grad():
        assert [each.tolist() for each in replies] == [
            reply_alone(model, *each) for each in zip(asked, uniforms, strict=True)
        ]


def test_a_reply_is_cut_behind_its_first_end() -> None:
    model = make_model(VOCABULARY).eval()
    ends = list(range(0, VOCABULARY, 4))
    replies = sample(model, prompts(20), make_uniforms(20, 30, seed=0), ends)
    assert {int(reply[-1]) in ends for reply in replies} == {True}
    assert not any(int(token) in ends for reply in replies for token in reply[:-1])


def test_what_the_folder_wishes_for_sampling_is_not_followed() -> None:
    model = make_model(VOCABULARY).eval()
    asked, uniforms = prompts(), make_uniforms(5, 12, seed=3)
    as_it_is = sample(model, asked, uniforms, [END])
    wishes = {"repetition_penalty": 5.0, "suppress_tokens": as_it_is[0].tolist(), "eos_token_id": [END, 4]}
    model.generation_config = GenerationConfig(**wishes)
    assert find_ends(model, SimpleNamespace(eos_token_id=3)) == [END, 3, 4]
    assert all(map(torch.equal, sample(model, asked, uniforms, [END]), as_it_is))


def test_the_divergence_is_exact_at_every_token_of_a_reply(model: Any) -> None:
    reference = MODELS["llama"]()

    @contextmanager
    def speak() -> Iterator[Any]:
        yield reference

    asked = prompts()
    replies = sample(model, asked, make_uniforms(5, 6, seed=3), [END])
    found = find_divergences(model, speak, asked, replies)
    for prompt, reply, divergence in zip(asked, replies, found, strict=True):
        text = torch.cat((prompt, reply))[None]
        with torch.no_grad():
            said = [each(input_ids=text).logits[0, len(prompt) - 1 : -1] for each in (model, reference)]
        mine, theirs = (each.log_softmax(-1) for each in said)
        torch.testing.assert_close(divergence, (mine.exp() * (mine - theirs)).sum(), rtol=1e-4, atol=1e-5)


def test_diversity_is_one_without_repeats_and_falls_with_them() -> None:
    different = [torch.arange(number * 10, number * 10 + 5) for number in range(16)]
    assert find_diversity(different) == 1
    assert find_diversity([different[0]] * 16) == pytest.approx(1 / 16)
    assert find_diversity([torch.tensor([END])]) == 1
