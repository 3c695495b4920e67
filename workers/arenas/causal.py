"""Log-probabilities of completions under a causal language model of transformers."""

from typing import Any

from torch import Tensor
from torch.nn import functional


def completion_log_probabilities(
    model: Any, input_ids: Tensor, attention_mask: Tensor | None, completion_mask: Tensor
) -> Tensor:
    """Of a row's tokens under completion_mask, summed, given all before them; float32, with gradient.

    attention_mask may be None where padding is on the right, for no token sees what comes after it. No completion
    starts at a row's first token. What lies before the first completion of all does not go through the LM head.
    """
    # Read before the model runs: an accelerator that is asked for a number first finishes what it was given.
    first = max(1, int(completion_mask.any(0).to(input_ids.dtype).argmax()))
    logits = model(
        input_ids=input_ids[:, :-1],
        attention_mask=None if attention_mask is None else attention_mask[:, :-1],
        logits_to_keep=input_ids.shape[1] - first,
        use_cache=False,
    ).logits.float()
    targets = input_ids[:, first:]
    tokens = -functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    return tokens.masked_fill(completion_mask[:, first:] == 0, 0).sum(1)
