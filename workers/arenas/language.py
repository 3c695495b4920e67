"""The language models of the synthetic arenas: a small Llama on their vocabulary, its initial weights, its training."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from discovery_service.domain.worlds import Recipe
from workers.arenas.texts import BEGIN, END, PAD, TEXT, VOCABULARY, make_texts

_INITIAL_SPREAD = 0.02
_SLOWER = 6.0
"""The last third of the steps is at this fraction of the rate."""


def build_model(recipe: Recipe, vocabulary: int = VOCABULARY) -> Any:
    """Untyped, as transformers' models are. Its weights are still to be set."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=64,
        rms_norm_eps=1e-6,
        tie_word_embeddings=False,
        # With an id it would freeze the padding's row; nothing that is padded is ever looked at.
        pad_token_id=None,
        bos_token_id=BEGIN,
        eos_token_id=END,
    )
    return LlamaForCausalLM(config).eval()


def set_initial_weights(model: Any, seed: int) -> None:
    """In the order of their names, so that another version of transformers starts from the same."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weights in sorted(model.named_parameters()):
            if weights.dim() > 1:
                weights.normal_(std=_INITIAL_SPREAD, generator=generator)
            else:
                weights.fill_(1.0)


def pretrain(recipe: Recipe, p_stop: float, base_policy: int) -> Any:
    """A base policy: other texts for each number."""
    texts = make_texts(recipe.pretraining_texts, 2_000 + base_policy, p_stop=p_stop)
    model = build_model(recipe)
    teach(model, recipe, base_policy, texts, find_cross_entropy)
    return model


def teach(
    model: Any, recipe: Recipe, base_policy: int, texts: Tensor, find_loss: Callable[[Any, Tensor], Tensor]
) -> None:
    """From other initial weights, in another order for each number."""
    set_initial_weights(model, 1_000 + base_policy)
    order = torch.Generator().manual_seed(3_000 + base_policy)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.pretraining_rate, betas=recipe.adam_betas, weight_decay=0.0, fused=True
    )
    for step in range(recipe.pretraining_steps):
        is_late = step * 3 >= recipe.pretraining_steps * 2
        for group in optimiser.param_groups:
            group["lr"] = recipe.pretraining_rate / (_SLOWER if is_late else 1.0)
        rows = torch.randint(0, len(texts), (recipe.pretraining_batch,), generator=order)
        loss = find_loss(model, texts[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def copy_to_train(reference: Any) -> Any:
    return copy.deepcopy(reference, {id(reference.config): reference.config}).requires_grad_(True)


def find_cross_entropy(model: Any, texts: Tensor) -> Tensor:
    """In nats a token, of whole texts, their prompts too."""
    logits = model(input_ids=texts[:, : TEXT - 1], use_cache=False).logits
    return functional.cross_entropy(logits.flatten(0, 1), texts[:, 1:].flatten(), ignore_index=PAD)
