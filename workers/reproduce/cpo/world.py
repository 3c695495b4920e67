"""Texts with outcomes: handed out at random by a known rule, or read by whom they please, who judges otherwise.

A text's true mean outcome is a utility of its tokens and pairs of tokens. Where readers choose, what makes them choose
adds to the outcome, and against the truth: a model of such outcomes prefers the wrong texts, however many there are.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from workers.reproduce.speech import LanguageModel, list_answers

VOCABULARY, LENGTH = 5, 3
TEXTS = VOCABULARY**LENGTH
NOISE = 2.0
"""Of an outcome, as a standard deviation; that of the texts' means is 1."""
CONFOUNDING = 2.0
AGAINST = -0.5
"""How what readers choose by correlates with the truth."""
CONFOUNDED_ROWS = 4_000
ROWS = 400
FOLDS = 5
RIDGE = NOISE**2 / 0.2
"""The noise's variance by that of a coefficient: five of them make up a text, of variance 1."""
MISTAKE = 1.0
"""Of a propensity that is wrongly known: the standard deviation of its logarithm's error."""


@dataclass(frozen=True)
class World:
    start: LanguageModel
    """f0: what every policy starts as."""
    truth: Tensor
    """(texts,): the mean outcome of each, as randomised readers would have it."""
    chosen_by: Tensor
    """(texts,): what makes readers choose a text."""

    @property
    def start_chances(self) -> Tensor:
        return tell_chances(self.start)

    @property
    def propensity(self) -> Tensor:
        """How often a text is handed out: half as the start says it, half any."""
        return 0.5 * self.start_chances + 0.5 / TEXTS

    def find_value(self, chances: Tensor) -> float:
        return float(chances @ self.truth)


@dataclass(frozen=True)
class Rows:
    texts: Tensor
    outcomes: Tensor


def tell_chances(model: LanguageModel) -> Tensor:
    with torch.no_grad():
        return model()[0].sum(1).double().softmax(0)


def build(generator: torch.Generator) -> World:
    start = LanguageModel(VOCABULARY, LENGTH, 1, generator)
    truth, other = _draw_utility(generator), _draw_utility(generator)
    # Of the other utility what the truth does not explain.
    rest = other - (other @ truth) / (truth @ truth) * truth
    chosen_by = AGAINST * truth + (1 - AGAINST**2) ** 0.5 * rest / rest.std()
    return World(start, truth, chosen_by)


def _draw_utility(generator: torch.Generator) -> Tensor:
    features = list_features()[:, 1:]
    utility = features @ torch.randn(features.shape[1], generator=generator, dtype=torch.float64)
    return (utility - utility.mean()) / utility.std()


def list_features() -> Tensor:
    """(texts, 66): one, each place's token, each two neighbours."""
    texts = list_answers(VOCABULARY, LENGTH)
    tokens = torch.nn.functional.one_hot(texts, VOCABULARY).flatten(1)
    pairs = torch.nn.functional.one_hot(texts[:, :-1] * VOCABULARY + texts[:, 1:], VOCABULARY**2).flatten(1)
    return torch.cat((torch.ones(TEXTS, 1), tokens, pairs), dim=1).double()


def draw_texts(chances: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return torch.multinomial(chances, count, replacement=True, generator=generator)


def mistake(propensity: Tensor, generator: torch.Generator) -> Tensor:
    """What somebody takes it for who does not know it."""
    errors = MISTAKE * torch.randn(len(propensity), generator=generator, dtype=torch.float64)
    return (propensity.log() + errors).softmax(0)


def hand_out(world: World, count: int, generator: torch.Generator) -> Rows:
    """At random, to readers who had no say."""
    texts = draw_texts(world.propensity, count, generator)
    return Rows(texts, world.truth[texts] + NOISE * torch.randn(count, generator=generator, dtype=torch.float64))


def let_choose(world: World, count: int, generator: torch.Generator) -> Rows:
    """A reader's leaning C, -1 or 1, adds to the outcome and is likelier 1 with texts that please such readers."""
    rows = hand_out(world, count, generator)
    is_drawn = torch.rand(count, generator=generator) < torch.sigmoid(2 * world.chosen_by[rows.texts])
    return Rows(rows.texts, rows.outcomes + CONFOUNDING * torch.where(is_drawn, 1.0, -1.0))


def fit_outcomes(rows: Rows) -> Tensor:
    """(texts,): a ridge regression's prediction, whose intercept is not held."""
    features = list_features()
    seen = features[rows.texts]
    held = RIDGE * torch.eye(features.shape[1], dtype=torch.float64)
    held[0, 0] = 1e-6
    return features @ torch.linalg.solve(seen.T @ seen + held, seen.T @ rows.outcomes)


def cross_fit(rows: Rows) -> tuple[Tensor, Tensor]:
    """Of each row the prediction of the model that did not see it, and of each text the mean of all models'."""
    fold = torch.arange(len(rows.texts)) % FOLDS
    models = [fit_outcomes(Rows(rows.texts[fold != each], rows.outcomes[fold != each])) for each in range(FOLDS)]
    return torch.stack(models)[fold, rows.texts], torch.stack(models).mean(0)
