"""Completions of many lengths: padding, the choice of places and the parts that they are done in change no number."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
)

from tests.arenas.hf.tiny import make_model
from workers.arenas.hf.completions import (
    LOGITS_AT_ONCE,
    TOKENS_AT_ONCE,
    find_log_probabilities,
    find_logits,
    pad,
    split_rows,
)

VOCABULARY = 50
LENGTHS = [(3, 4), (1, 9), (7, 1), (5, 5)]


def _gemma() -> Any:
    """Its logits are capped behind the head."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": VOCABULARY}
    return Gemma2ForCausalLM(Gemma2Config(**sizes, **heads, final_logit_softcapping=0.5)).eval()


def _gpt2() -> Any:
    """Its positions are absolute."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=VOCABULARY, n_positions=64)).eval()


def _gemma3() -> Any:
    """It reads images too, and the text's part of its configuration alone has a vocabulary."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": VOCABULARY, "pad_token_id": 0}
    eyes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma3Config(text_config={**sizes, **heads}, vision_config={**eyes, "image_size": 28, "patch_size": 14})
    return Gemma3ForConditionalGeneration(config).eval()


MODELS = {"llama": lambda: make_model(VOCABULARY).eval(), "gemma2": _gemma, "gemma3": _gemma3, "gpt2": _gpt2}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]()


def texts() -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    parts = [[torch.randint(3, VOCABULARY, (size,), generator=generator) for size in sizes] for sizes in LENGTHS]
    return [prompt for prompt, _ in parts], [completion for _, completion in parts]


def alone(model: Any, prompt: Tensor, completion: Tensor) -> Tensor:
    """By the whole text's own logits."""
    text = torch.cat((prompt, completion))
    logits = model(input_ids=text[None]).logits[0].log_softmax(-1)
    return logits[len(prompt) - 1 : -1].gather(1, completion[:, None])[:, 0]


def test_a_padded_batch_says_of_each_completion_what_the_model_says_of_it_alone(model: Any) -> None:
    prompts, completions = texts()
    said = find_log_probabilities(model, pad(prompts, completions, torch.device("cpu")))
    wanted = torch.stack([alone(model, *each).sum() for each in zip(prompts, completions, strict=True)])
    torch.testing.assert_close(said, wanted, rtol=1e-5, atol=1e-5)


def test_the_gradient_is_that_of_the_completions_alone(model: Any) -> None:
    prompts, completions = texts()
    weights = torch.tensor([1.0, -2.0, 0.5, 0.25])
    said = find_log_probabilities(model, pad(prompts, completions, torch.device("cpu")))
    alone_too = torch.stack([alone(model, *each).sum() for each in zip(prompts, completions, strict=True)])
    parameters = [each for name, each in model.named_parameters() if "vision" not in name and "projector" not in name]
    got, wanted = (torch.autograd.grad((each * weights).sum(), parameters) for each in (said, alone_too))
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_only_the_places_of_completions_go_through_the_head(model: Any) -> None:
    prompts, completions = texts()
    seen: list[int] = []
    model.get_output_embeddings().register_forward_hook(lambda *given: seen.append(given[2].shape[:-1].numel()))
    assert len(find_logits(model, pad(prompts, completions, torch.device("cpu")))) == sum(map(len, completions))
    assert seen == [sum(map(len, completions))]
    model(input_ids=prompts[0][None])
    assert seen[1] == len(prompts[0]), "afterwards the model is as it was"


def split(prompts: list[int], completions: list[int], vocabulary: int) -> list[list[int]]:
    texts = ([range(size) for size in sizes] for sizes in (prompts, completions))
    return list(split_rows(*texts, vocabulary))


@pytest.mark.parametrize(("longest_prompt", "vocabulary"), [(10, 50_000), (3000, 50), (3000, 50_000)])
def test_every_row_is_done_once_in_parts_that_stay_within_the_limits(longest_prompt: int, vocabulary: int) -> None:
    generator = torch.Generator().manual_seed(0)
    prompts, completions = (
        torch.randint(1, longest, (300,), generator=generator).tolist() for longest in (longest_prompt, 900)
    )
    parts = split(prompts, completions, vocabulary)
    assert sorted(row for part in parts for row in part) == list(range(300))
    assert 1 < len(parts) < 300
    for part in parts:
        assert sum(completions[row] for row in part) * vocabulary <= LOGITS_AT_ONCE
        assert len(part) * max(prompts[row] + completions[row] for row in part) <= TOKENS_AT_ONCE


def test_what_is_too_large_by_itself_is_still_done() -> None:
    assert split([1, 1], [10**6, 1], 10**6) == [[1], [0]]
    assert split([10**6, 1], [1, 1], 1) == [[1], [0]]
