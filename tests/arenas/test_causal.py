"""Log-probabilities of completions are those that the whole distribution says, with less of it computed."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, Gemma2Config, GPT2Config, GraniteConfig, LlamaConfig

from workers.arenas.causal import completion_log_probabilities

torch.set_num_threads(1)

SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
# The last two do more to their logits than a product with the head's weights.
MODELS = {
    "llama": LlamaConfig(**SMALL),
    "gpt2": GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2),
    "gemma2": Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=0.5),
    "granite": GraniteConfig(**SMALL, logits_scaling=3.0),
}
PROMPTS, LENGTHS = (3, 5, 4), (4, 2, 5)


def make(name: str = "llama") -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(MODELS[name]).eval()


def make_rows() -> tuple[Tensor, Tensor, Tensor]:
    """Tokens padded on the right, with the mask of what is no padding, and of completions."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(3, 40, (3, 9), generator=generator)
    at, prompts, lengths = torch.arange(9), torch.tensor(PROMPTS)[:, None], torch.tensor(LENGTHS)[:, None]
    is_text = at < prompts + lengths
    return tokens * is_text, is_text, is_text & (at >= prompts)


def compute_plainly(model: Any, tokens: Tensor, is_text: Tensor, is_completion: Tensor) -> Tensor:
    logits = model(input_ids=tokens, attention_mask=is_text.long()).logits[:, :-1]
    said = logits.log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
    return (said * is_completion[:, 1:]).sum(1)


@pytest.mark.parametrize("name", list(MODELS))
def test_they_are_what_the_model_s_own_logits_say(name: str) -> None:
    model, (tokens, is_text, is_completion) = make(name), make_rows()
    expected = compute_plainly(model, tokens, is_text, is_completion)
    for mask in (is_text.long(), None):
        torch.testing.assert_close(completion_log_probabilities(model, tokens, mask, is_completion), expected)


def test_padding_may_be_on_the_left_where_it_is_masked() -> None:
    model, (tokens, is_text, is_completion) = make(), make_rows()
    left = [
        torch.stack([torch.roll(row, int((~text).sum())) for row, text in zip(rows, is_text, strict=True)])
        for rows in (tokens, is_text, is_completion)
    ]
    torch.testing.assert_close(
        completion_log_probabilities(model, left[0], left[1].long(), left[2]),
        completion_log_probabilities(model, tokens, None, is_completion),
    )


def test_gradients_are_those_of_the_whole_distribution() -> None:
    model, (tokens, is_text, is_completion) = make(), make_rows()
    weights = torch.tensor([1.0, -2.0, 0.5])
    ours = torch.autograd.grad(
        completion_log_probabilities(model, tokens, None, is_completion) @ weights, list(model.parameters())
    )
    plain = torch.autograd.grad(
        compute_plainly(model, tokens, is_text, is_completion) @ weights, list(model.parameters())
    )
    for left, right in zip(ours, plain, strict=True):
        torch.testing.assert_close(left, right)


def test_no_prompt_goes_through_the_head() -> None:
    model, (tokens, _, is_completion) = make(), make_rows()
    seen: list[torch.Size] = []
    model.lm_head.register_forward_hook(lambda _, given, __: seen.append(given[0].shape))
    completion_log_probabilities(model, tokens, None, is_completion)
    # From the place before the first completion of all to the one before the last token.
    assert [tuple(each[:2]) for each in seen] == [(3, 9 - min(PROMPTS))]


def test_the_head_s_precision_is_not_that_of_the_sum() -> None:
    model, (tokens, _, is_completion) = make(), make_rows()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        halved = completion_log_probabilities(model, tokens, None, is_completion)
    assert halved.dtype == torch.float32
    full = completion_log_probabilities(model, tokens, None, is_completion)
    torch.testing.assert_close(halved, full, rtol=0.02, atol=0.1)
