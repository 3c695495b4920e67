"""What the built-in arenas are made of, as data: what a world shows and hides, and how policies train in it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any


class ArenaSize(StrEnum):
    MINI = "mini"
    BASE = "base"


class Precision(StrEnum):
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Schedule(StrEnum):
    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


class Rule(StrEnum):
    """What answers should not do, and how that goes with what annotators prefer."""

    NOUNS = "nouns"
    """Say one of five nouns, which nobody minds."""
    PRAISE = "praise"
    """Praise twice, or behind an adverb: just what is preferred."""
    WORDS = "words"
    """Praise with one of four words of ten."""


@dataclass(frozen=True)
class World:
    """Texts, and what an annotator sees in a pair of them. The gold reward is none of this: it is the same everywhere.

    The annotator prefers a to b with probability sigmoid(sharpness * (r_a - r_b) + length_bias * (len_a - len_b)
    + fluency_bias * (logref_a - logref_b)); then the label may be fogged, flipped, or given by a sloppy annotator.
    """

    p_stop: float = 0.0
    """Chance that a text ends after a clause; at 0 every completion has its 20 tokens."""
    sharpness: float = 1.0
    length_bias: float = 0.0
    """Per token."""
    fluency_bias: float = 0.0
    """Per nat of reference log-probability."""
    fog: float = 0.0
    """A label becomes a coin with chance 1 - exp(-fog * |gap of the reference log-probabilities|)."""
    flip: float = 0.0
    """Chance of a label to be turned round."""
    sloppy: float = 0.0
    """Share of rows labelled by annotator 1, who ..."""
    sloppy_flip: float = 0.5
    """... turns the label round with this chance: 1/2 is a coin, 1 the opposite."""
    on_excerpts: bool = False
    """Whether a policy is measured on prompts from the middle of texts; those of the pairs are how texts begin."""
    taste_spread: float | None = None
    """Each row has an annotator of its own, who sees so much more, times a taste of mean 0 and variance 1, in answers
    that are one standard deviation better, and in those with an adverb more: the mean of all annotators is the reward.
    """
    taste_skew: bool = False
    """Whether most tastes lie a little below their mean and few far above, or as many on both sides."""
    rule: Rule | None = None
    """A score beside the preferences: -1 where an answer breaks it, else 0."""
    violation_cost: float = 0.0
    """What an answer that breaks the rule loses in J."""

    def __post_init__(self) -> None:
        if self.taste_skew and self.taste_spread is None:
            raise ValueError("tastes that are skewed have to differ")

    def document(self) -> dict[str, Any]:
        """Without what came later and has no say, so that the arenas of before are still the same ones."""
        return {name: value for name, value in asdict(self).items() if name not in _LATER or value != _LATER[name]}


_LATER = {"taste_spread": None, "taste_skew": False, "rule": None, "violation_cost": 0.0}


class OutcomeModel(StrEnum):
    """What the rows' predicted outcomes were learnt from."""

    TRIAL = "trial"
    """The rows themselves, each by a model that has not seen it."""
    READERS = "readers"
    """Others, whose readers chose what they read: what makes them choose adds to an outcome, against the reward."""


@dataclass(frozen=True)
class OutcomeWorld:
    """Answers of a warmer base policy, each with what one reader made of it: the gold reward and noise."""

    p_stop: float
    temperature: float
    """Of whoever wrote the rows' answers; its log-probabilities are the propensities."""
    noise: float
    """The standard deviation of an outcome around the reward."""
    model: OutcomeModel = OutcomeModel.TRIAL
    misjudged: int = 1
    """Of so many answers the one was recorded that a taste beside the reward picked; propensities do not know of it."""

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class MatchingWorld:
    """Answers so few that all are told at once: of natural tokens, which a reward knows, or with junk among them."""

    natural: int
    junk: int
    length: int
    prompts: int
    junk_mass: float = 0.02
    """The share of texts with junk in them, of those that the base policy learnt from."""
    junk_noise: float = 1.5
    """The standard deviation of a reward of junk, which means nothing; that of natural answers is 1."""

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a policy is made and trained. What a setting sets is not here."""

    hidden: int
    layers: int
    inner: int
    batch: int
    pretraining_rate: float
    heads: int = 4
    pretraining_texts: int = 20_000
    pretraining_steps: int = 600
    pretraining_batch: int = 64
    warm_up: int = 10
    schedule: Schedule = Schedule.COSINE
    clip: float = 1.0
    adam_betas: tuple[float, float] = (0.9, 0.95)
    precision: Precision = Precision.FLOAT32


@dataclass(frozen=True, kw_only=True)
class PairRecipe(Recipe):
    pairs: int
    evaluation_texts: int = 2048
    held_out_pairs: int = 512


@dataclass(frozen=True, kw_only=True)
class OutcomeRecipe(Recipe):
    rows: int
    evaluation_texts: int = 2048


@dataclass(frozen=True, kw_only=True)
class MatchingRecipe(Recipe):
    """A batch is as many answers of the policy, the same number to each prompt."""


RECIPES: Mapping[ArenaSize, PairRecipe] = {
    ArenaSize.MINI: PairRecipe(hidden=32, layers=1, inner=72, pairs=1024, batch=32, pretraining_rate=5e-3),
    ArenaSize.BASE: PairRecipe(hidden=64, layers=2, inner=136, pairs=2048, batch=64, pretraining_rate=3e-3),
}
GUARDRAIL_RECIPES: Mapping[ArenaSize, PairRecipe] = {ArenaSize.MINI: RECIPES[ArenaSize.MINI]}
# A likelihood of few pairs errs more by chance than by whom it listens to.
CROWD_RECIPES: Mapping[ArenaSize, PairRecipe] = {
    ArenaSize.MINI: replace(RECIPES[ArenaSize.MINI], pairs=4096, batch=64),
}
# The base policies are those of pairs, and weights that are normalised within a batch want a larger one.
OUTCOME_RECIPES: Mapping[ArenaSize, OutcomeRecipe] = {
    ArenaSize.MINI: OutcomeRecipe(hidden=32, layers=1, inner=72, rows=1024, batch=64, pretraining_rate=5e-3),
}
MATCHING_RECIPES: Mapping[ArenaSize, MatchingRecipe] = {
    ArenaSize.MINI: MatchingRecipe(hidden=32, layers=1, inner=72, batch=256, pretraining_rate=2e-2),
}
