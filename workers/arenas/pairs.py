"""What a draw makes for a synthetic arena: pairs with labels, held-out pairs, prompts to be measured on.

Built once on the CPU, whatever trains on it. An annotator's label is never part of the reward.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.measuring import Draw, Stream
from discovery_service.domain.worlds import PairRecipe, World
from workers.arenas.cache import Tensors
from workers.arenas.causal import completion_log_probabilities
from workers.arenas.proxy import fit_reward
from workers.arenas.sampling import make_uniforms, sample
from workers.arenas.scores import find_values, find_violations
from workers.arenas.texts import PROMPT, count_adverbs, is_answer, make_excerpts, make_prompts, score

ROWS_AT_ONCE = 256
"""What stays in a processor's cache: a forward pass of 2,048 texts takes .075 s in such parts and .11 s in one."""
_REWARD_SD = 2.0
"""Of a base policy's answers."""


@dataclass(frozen=True)
class _Streams:
    prompts: Stream
    first_answers: Stream
    second_answers: Stream
    labels: Stream


_TRAINING = _Streams(Stream.PROMPTS, Stream.FIRST_ANSWERS, Stream.SECOND_ANSWERS, Stream.LABELS)
_HELD_OUT = _Streams(
    Stream.HELD_OUT_PROMPTS, Stream.HELD_OUT_FIRST_ANSWERS, Stream.HELD_OUT_SECOND_ANSWERS, Stream.HELD_OUT_LABELS
)


def build_draw(model: Any, world: World, recipe: PairRecipe, draw: Draw) -> Tensors:
    """`texts` (pairs, 2, TEXT) with the preferred one first, `annotator`, `reference`: their log-probabilities.

    The same of held-out pairs, with the `preference` of all annotators together for the one that was preferred. Of
    the evaluation its prompts and what the reference gets on them with the same random numbers. Where an evaluation
    is on other prompts also `proxy`, the reward that the pairs' labels suggest. Where there is a rule also `scores`
    (pairs, 2) and the `values` of the prompts.
    """
    pairs = _build_pairs(model, world, recipe.pairs, draw, _TRAINING)
    held_out = _build_pairs(model, world, recipe.held_out_pairs, draw, _HELD_OUT)
    prompts = make_evaluation_prompts(world, recipe.evaluation_texts, draw.seed(Stream.EVALUATION_PROMPTS))
    uniforms = make_uniforms(recipe.evaluation_texts, draw.seed(Stream.EVALUATION_SAMPLING))
    made = {
        "texts": pairs["texts"],
        "annotator": pairs["annotator"],
        "reference": pairs["reference"],
        **{f"held_out_{name}": held_out[name] for name in ("texts", "reference", "preference")},
        "prompts": prompts.to(torch.uint8),
        "reference_rewards": score(sample(model, prompts, uniforms).texts),
    }
    if world.rule is not None:
        scores = -find_violations(world.rule, pairs["texts"].long().flatten(0, 1)).float().view(-1, 2)
        made["scores"], made["values"] = scores, find_values(model, pairs["texts"][:, 0, :PROMPT].long(), scores)
    if world.on_excerpts:
        made["proxy"] = fit_reward(pairs["texts"].long())
    return made


def make_evaluation_prompts(world: World, count: int, seed: int) -> Tensor:
    return make_excerpts(count, seed) if world.on_excerpts else make_prompts(count, seed)


def find_log_probabilities(model: Any, texts: Tensor) -> Tensor:
    """Of each text's answer, in parts."""
    with torch.no_grad():
        parts = [completion_log_probabilities(model, part, None, is_answer(part)) for part in texts.split(ROWS_AT_ONCE)]
    return torch.cat(parts)


def _build_pairs(model: Any, world: World, count: int, draw: Draw, streams: _Streams) -> Tensors:
    prompts = make_prompts(count, draw.seed(streams.prompts))
    first, second = (
        sample(model, prompts, make_uniforms(count, draw.seed(stream))).texts
        for stream in (streams.first_answers, streams.second_answers)
    )
    texts = torch.stack((first, second), 1)
    reference = find_log_probabilities(model, texts.flatten(0, 1)).view(-1, 2)
    generator = torch.Generator().manual_seed(draw.seed(streams.labels))
    tastes = _draw_tastes(world, count, generator)
    careful, sloppy = _find_preferences(world, texts, reference, tastes)
    annotator = torch.rand(count, generator=generator) < world.sloppy
    is_first_chosen = torch.rand(count, generator=generator) < torch.where(annotator, sloppy, careful)
    if tastes is not None:
        careful, _ = _find_preferences(world, texts, reference, torch.zeros(count))
    of_all = (1 - world.sloppy) * careful + world.sloppy * sloppy
    swapped = torch.where(is_first_chosen[:, None], torch.tensor([0, 1]), torch.tensor([1, 0]))
    return {
        "texts": torch.take_along_dim(texts, swapped[..., None], 1).to(torch.uint8),
        "annotator": annotator.to(torch.uint8),
        "reference": torch.take_along_dim(reference, swapped, 1),
        "preference": torch.where(is_first_chosen, of_all, 1 - of_all),
    }


def _draw_tastes(world: World, count: int, generator: torch.Generator) -> Tensor | None:
    """Of the annotators of so many rows: mean 0 and variance 1. None where all are alike, so that nothing is drawn."""
    if world.taste_spread is None:
        return None
    if world.taste_skew:
        return torch.empty(count).exponential_(generator=generator) - 1
    return torch.randn(count, generator=generator)


def _find_preferences(world: World, texts: Tensor, reference: Tensor, tastes: Tensor | None) -> tuple[Tensor, Tensor]:
    """With what chance annotators 0 and 1 prefer the first text of each pair."""
    first, second = texts.unbind(1)
    gap = reference[:, 0] - reference[:, 1]
    lengths = (is_answer(first).sum(1) - is_answer(second).sum(1)).float()
    seen = world.sharpness * (score(first) - score(second)) + world.length_bias * lengths + world.fluency_bias * gap
    if tastes is not None and world.taste_spread is not None:
        divides = (score(first) - score(second)) / _REWARD_SD + count_adverbs(first) - count_adverbs(second)
        seen = seen + world.taste_spread * tastes * divides
    is_fogged = 1 - torch.exp(-world.fog * gap.abs())
    preference = _turn_round((1 - is_fogged) * seen.sigmoid() + 0.5 * is_fogged, world.flip)
    return preference, _turn_round(preference, world.sloppy_flip)


def _turn_round(preference: Tensor, chance: float) -> Tensor:
    return (1 - chance) * preference + chance * (1 - preference)
