"""The built-in arenas as data: what each world is, which ways to beat DPO it offers, and how policies train in it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from discovery_service.domain.families import Family

BASE_POLICIES = (0, 1, 2)
"""Of every arena: other initialisations and pre-training texts. A search uses the first, a confirmation all."""
VERSION = 1
"""Of what an arena's document means."""


class ArenaKind(StrEnum):
    SYNTHETIC = "synthetic"
    """Made by our own generator, so that the reward is known."""
    HF = "hf"
    """An operator's model and preferences in a local folder."""


BUILDERS = {ArenaKind.SYNTHETIC: {"policies": 1, "draws": 2}, ArenaKind.HF: {"rows": 2}}
"""The versions in which arenas are built. Who changes what base policies, draws or rows become raises one, and every
arena of the kind becomes another: no measurement in what was built before is taken for one in what is built now."""


class ArenaSize(StrEnum):
    MINI = "mini"
    BASE = "base"


class WayToWin(StrEnum):
    """With Bradley-Terry labels and unlimited data DPO is optimal; a loss can win only through one of these."""

    LABEL_NOISE = "label noise"
    DIFFERING_ANNOTATORS = "annotators that differ"
    OTHER_MOTIVE = "annotators that see something else than quality"
    OTHER_PROMPTS = "evaluation on prompts of another kind"


class Precision(StrEnum):
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Schedule(StrEnum):
    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


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


@dataclass(frozen=True)
class Recipe:
    """How a policy is made and trained. What a setting sets is not here."""

    hidden: int
    layers: int
    inner: int
    pairs: int
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
    evaluation_texts: int = 2048
    held_out_pairs: int = 512


RECIPES: Mapping[ArenaSize, Recipe] = {
    ArenaSize.MINI: Recipe(hidden=32, layers=1, inner=72, pairs=1024, batch=32, pretraining_rate=5e-3),
    ArenaSize.BASE: Recipe(hidden=64, layers=2, inner=136, pairs=2048, batch=64, pretraining_rate=3e-3),
}


@dataclass(frozen=True)
class ArenaSpec:
    name: str
    family: Family
    summary: str
    offers: tuple[WayToWin, ...]
    world: World

    @property
    def is_control(self) -> bool:
        """Whether the right verdict here is "not distinguishable from DPO"."""
        return not self.offers

    def document(self, size: ArenaSize) -> dict[str, Any]:
        """All that decides what a training in it measures; what a runtime builds it from."""
        return {
            "version": VERSION,
            "builders": dict(BUILDERS[ArenaKind.SYNTHETIC]),
            "kind": ArenaKind.SYNTHETIC.value,
            "name": f"{self.name}:{size}",
            "family": self.family.value,
            "world": asdict(self.world),
            "recipe": asdict(RECIPES[size]),
        }


_ARENAS = (
    ArenaSpec(
        "plain",
        Family.PAIRWISE,
        "Clean Bradley-Terry labels on texts of varying length.",
        (),
        World(p_stop=0.2),
    ),
    ArenaSpec(
        "flips",
        Family.PAIRWISE,
        "Three labels in ten are flipped, which a tuned beta absorbs.",
        (),
        World(flip=0.3),
    ),
    ArenaSpec(
        "terse",
        Family.PAIRWISE,
        "Annotators prefer the shorter answer beside the better one.",
        (WayToWin.OTHER_MOTIVE,),
        World(p_stop=0.2, length_bias=-0.15),
    ),
    ArenaSpec(
        "panel",
        Family.PAIRWISE,
        "Half the rows come from an annotator whose labels are coins; the loss is told who labelled.",
        (WayToWin.LABEL_NOISE, WayToWin.DIFFERING_ANNOTATORS),
        World(sloppy=0.5),
    ),
    ArenaSpec(
        "fog",
        Family.PAIRWISE,
        "The label turns into a coin where the answers differ much in fluency.",
        (WayToWin.LABEL_NOISE,),
        World(fog=0.7),
    ),
    ArenaSpec(
        "fluent",
        Family.PAIRWISE,
        "Annotators prefer what the base policy finds likely.",
        (WayToWin.OTHER_MOTIVE,),
        World(fluency_bias=0.7),
    ),
    ArenaSpec(
        "shift",
        Family.PAIRWISE,
        "Pairs on how texts begin, measured on excerpts; a reward fitted to the pairs shows over-optimisation.",
        (WayToWin.OTHER_PROMPTS,),
        World(p_stop=0.2, on_excerpts=True),
    ),
    # What differs by one number from an arena above: held out, so that a find can be seen to carry over.
    ArenaSpec(
        "terse-strong",
        Family.PAIRWISE,
        "Like terse, and each token counts twice as much against an answer.",
        (WayToWin.OTHER_MOTIVE,),
        World(p_stop=0.2, length_bias=-0.3),
    ),
    ArenaSpec(
        "panel-inverted",
        Family.PAIRWISE,
        "Like panel, and the other annotator prefers the worse answer instead of tossing coins.",
        (WayToWin.LABEL_NOISE, WayToWin.DIFFERING_ANNOTATORS),
        World(sloppy=0.5, sloppy_flip=1.0),
    ),
    ArenaSpec(
        "panel-diluted",
        Family.PAIRWISE,
        "Like panel, and the annotator whose labels are coins wrote seven rows in ten.",
        (WayToWin.LABEL_NOISE, WayToWin.DIFFERING_ANNOTATORS),
        World(sloppy=0.7),
    ),
    ArenaSpec(
        "fog-dense",
        Family.PAIRWISE,
        "Like fog, and half the difference in fluency is enough.",
        (WayToWin.LABEL_NOISE,),
        World(fog=1.4),
    ),
    ArenaSpec(
        "fluent-strong",
        Family.PAIRWISE,
        "Like fluent, and each nat counts twice as much for an answer.",
        (WayToWin.OTHER_MOTIVE,),
        World(fluency_bias=1.4),
    ),
)

GOLD_REWARD = (
    "the valence of an answer's adjectives, +1 or -1 each, twice that behind an adverb, less 1 for each word that"
    " repeats the one before; J is its mean less the KL divergence from the base policy"
)
"""The same in every built-in arena, whatever its annotators see."""

ARENAS: Mapping[str, ArenaSpec] = {arena.name: arena for arena in _ARENAS}


def find_arena(name: str) -> ArenaSpec | None:
    """The built-in arena of `NAME:SIZE`, or None."""
    base, _, size = name.partition(":")
    return ARENAS.get(base) if size in set(ArenaSize) else None


def find_document(name: str) -> dict[str, Any] | None:
    """The document of the built-in arena `NAME:SIZE`, or None."""
    arena = find_arena(name)
    return None if arena is None else arena.document(ArenaSize(name.partition(":")[2]))


def arena_names(family: Family | None = None) -> list[str]:
    """Every `NAME:SIZE` that a campaign of the family may name."""
    return [f"{arena.name}:{size}" for arena in _ARENAS for size in ArenaSize if family in (None, arena.family)]


def list_base_policies(document: Mapping[str, Any]) -> tuple[int, ...]:
    """Of the arena of the document: an operator's has as many as it names models."""
    return tuple(range(len(document["models"]))) if document["kind"] == ArenaKind.HF else BASE_POLICIES


def hash_document(document: Mapping[str, Any]) -> str:
    """By content: an arena that changes in anything is another one. Its name is part of it."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
