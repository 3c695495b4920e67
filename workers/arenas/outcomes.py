"""What a draw makes for an arena of outcomes: recorded answers with what readers made of them, and an outcome model.

A world hides two things that a loss may rely on and should not: what the outcome model was fitted to, and whether the
answers were handed out as the propensities say. The gold reward is the mean outcome of an answer that is handed out.
"""

from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.measuring import Draw, Stream
from discovery_service.domain.worlds import OutcomeModel, OutcomeRecipe, OutcomeWorld
from workers.arenas.cache import Tensors
from workers.arenas.pairs import find_log_probabilities
from workers.arenas.proxy import count_words
from workers.arenas.sampling import make_uniforms, sample
from workers.arenas.temperature import AtTemperature
from workers.arenas.texts import count_adverbs, make_prompts, score

FOLDS = 4
READERS = 4096
"""Who chose what they read. Many, so that an outcome model's fault is what it was fitted to and not too few rows. What
they might read is the same for a placebo; what they choose and make of it is not."""
SWAY = 8.0
"""What adds to the outcome of readers who feel drawn to an answer."""
_READERS_PULL, _TRIAL_PULL = 5.0, 20.0
"""The ridge of an outcome model that is linear in a text's words."""
_REWARD_SD, _ADVERBS, _ADVERBS_SD = 2.0, 1.6, 1.1
"""About those of answers of 20 tokens; where texts end earlier there are 1.0 adverbs, and less appeal on average."""


def build_draw(model: Any, world: OutcomeWorld, recipe: OutcomeRecipe, draw: Draw) -> Tensors:
    """`recorded` and `sampled` (rows, TEXT), their log-probabilities under whoever gave them and under the reference,
    outcomes and predictions; `outcome_model`, the worth of each word and of none; and what is measured on.
    """
    generator = torch.Generator().manual_seed(draw.seed(Stream.LABELS))
    prompts = make_prompts(recipe.rows, draw.seed(Stream.PROMPTS))
    recorded = _record(model, world, prompts, draw, generator)
    sampled = sample(model, prompts, make_uniforms(recipe.rows, draw.seed(Stream.SECOND_ANSWERS))).texts
    outcomes = score(recorded) + world.noise * torch.randn(recipe.rows, generator=generator)
    if world.model is OutcomeModel.READERS:
        fitted = _fit_to_readers(model, world, draw, generator)
        predicted = predict(fitted, recorded)
    else:
        predicted, fitted = _cross_fit(recorded, outcomes)
    evaluation = make_prompts(recipe.evaluation_texts, draw.seed(Stream.EVALUATION_PROMPTS))
    uniforms = make_uniforms(recipe.evaluation_texts, draw.seed(Stream.EVALUATION_SAMPLING))
    return {
        "recorded": recorded.to(torch.uint8),
        "sampled": sampled.to(torch.uint8),
        "behavior": find_log_probabilities(AtTemperature(model, world.temperature), recorded),
        "reference": find_log_probabilities(model, recorded),
        "sampled_reference": find_log_probabilities(model, sampled),
        "outcomes": outcomes,
        "predicted": predicted,
        "sampled_predicted": predict(fitted, sampled),
        "outcome_model": fitted,
        "prompts": evaluation.to(torch.uint8),
        "reference_rewards": score(sample(model, evaluation, uniforms).texts),
    }


def _record(model: Any, world: OutcomeWorld, prompts: Tensor, draw: Draw, generator: torch.Generator) -> Tensor:
    """One answer to each prompt, of the warmer policy, or picked among some of its answers."""
    warmer = AtTemperature(model, world.temperature)
    asked = prompts.repeat(world.misjudged, 1)
    answers = sample(warmer, asked, make_uniforms(len(asked), draw.seed(Stream.FIRST_ANSWERS))).texts
    by_answer = answers.view(world.misjudged, *prompts.shape[:1], -1)
    chances = find_appeal(answers).view(world.misjudged, -1).softmax(0)
    picked = torch.multinomial(chances.T, 1, generator=generator)[:, 0]
    return by_answer[picked, torch.arange(len(prompts))]


def find_appeal(texts: Tensor) -> Tensor:
    """What draws readers to an answer: adverbs, and what is bad rather than good."""
    adverbs = (count_adverbs(texts) - _ADVERBS) / _ADVERBS_SD
    return 0.75**0.5 * adverbs - 0.5 * score(texts) / _REWARD_SD


def _fit_to_readers(model: Any, world: OutcomeWorld, draw: Draw, generator: torch.Generator) -> Tensor:
    prompts = make_prompts(READERS, draw.seed(Stream.HELD_OUT_PROMPTS))
    read = sample(model, prompts, make_uniforms(READERS, draw.seed(Stream.HELD_OUT_FIRST_ANSWERS))).texts
    is_drawn = torch.rand(READERS, generator=generator) < torch.sigmoid(2 * find_appeal(read))
    outcomes = score(read) + SWAY * is_drawn + world.noise * torch.randn(READERS, generator=generator)
    return _fit(read, outcomes, _READERS_PULL)


def _cross_fit(texts: Tensor, outcomes: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row the prediction of the model that has not seen it, and the mean of all models."""
    fold = torch.arange(len(texts)) % FOLDS
    models = [_fit(texts[fold != each], outcomes[fold != each], _TRIAL_PULL) for each in range(FOLDS)]
    predicted = torch.stack([predict(each, texts) for each in models])
    return predicted[fold, torch.arange(len(texts))], torch.stack(models).mean(0)


def _fit(texts: Tensor, outcomes: Tensor, pull: float) -> Tensor:
    inputs = _tell(texts).double()
    prior = pull * torch.eye(inputs.shape[1], dtype=torch.float64)
    return torch.linalg.solve(inputs.T @ inputs + prior, inputs.T @ outcomes.double()).float()


def predict(outcome_model: Tensor, texts: Tensor) -> Tensor:
    return _tell(texts) @ outcome_model


def _tell(texts: Tensor) -> Tensor:
    words = count_words(texts)
    return torch.cat((words, words.new_ones(len(words), 1)), 1)
