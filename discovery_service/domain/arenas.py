"""The built-in arenas as data: what each world is, and which ways to beat the family's reference it offers."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Setting
from discovery_service.domain.worlds import (
    CROWD_RECIPES,
    GUARDRAIL_RECIPES,
    MATCHING_RECIPES,
    OUTCOME_RECIPES,
    RECIPES,
    ArenaSize,
    MatchingWorld,
    OutcomeModel,
    OutcomeWorld,
    Recipe,
    Rule,
    World,
)

BASE_POLICIES = (0, 1, 2)
"""Of every arena: other initialisations and pre-training texts. A search uses the first, a confirmation all."""
VERSION = 1
"""Of what an arena's document means."""


class ArenaKind(StrEnum):
    SYNTHETIC = "synthetic"
    """Made by our own generator, so that the reward is known."""
    HF = "hf"
    """An operator's model and preferences in a local folder."""


_TEXT_POLICIES = {"policies": 1}
BUILDERS: Mapping[ArenaKind, Mapping[Family, Mapping[str, int]]] = {
    ArenaKind.SYNTHETIC: {
        Family.PAIRWISE: {**_TEXT_POLICIES, "draws": 2},
        Family.AUXILIARY: {**_TEXT_POLICIES, "draws": 2, "scores": 1},
        Family.OUTCOME: {**_TEXT_POLICIES, "outcomes": 1},
        Family.MATCHING: {"speakers": 1, "rewards": 1},
    },
    ArenaKind.HF: {
        Family.PAIRWISE: {"rows": 2},
        Family.AUXILIARY: {"rows": 2, "scores": 1},
        Family.OUTCOME: {"rows": 2, "replies": 1},
        Family.MATCHING: {"rows": 2, "groups": 1},
    },
}
"""The versions in which arenas are built. Who changes what base policies, draws or rows become raises one, and every
such arena becomes another: no measurement in what was built before is taken for one in what is built now."""


class WayToWin(StrEnum):
    """What a family's reference does not reckon with. DPO is optimal with Bradley-Terry labels and unlimited data."""

    LABEL_NOISE = "label noise"
    DIFFERING_ANNOTATORS = "annotators that differ"
    OTHER_MOTIVE = "annotators that see something else than quality"
    OTHER_PROMPTS = "evaluation on prompts of another kind"
    RULE = "a score beside the preferences"
    MODEL_ERROR = "an outcome model that is wrong"
    PROPENSITY_ERROR = "propensities that are wrong"
    REFERENCE_TASTE = "a reference with tastes of its own"


@dataclass(frozen=True)
class ArenaSpec:
    name: str
    family: Family
    summary: str
    offers: tuple[WayToWin, ...]
    world: World | OutcomeWorld | MatchingWorld
    recipes: Mapping[ArenaSize, Recipe] = field(default_factory=lambda: RECIPES)
    settings: Mapping[ArenaSize, Setting] | None = None
    """Where a search for the best setting begins, where that is not where it does with pairs."""

    @property
    def is_control(self) -> bool:
        """Whether the right verdict here is that nothing is distinguishable from the reference."""
        return not self.offers

    def document(self, size: ArenaSize) -> dict[str, Any]:
        """All that decides what a training in it measures; what a runtime builds it from."""
        told: dict[str, Any] = {
            "version": VERSION,
            "builders": dict(BUILDERS[ArenaKind.SYNTHETIC][self.family]),
            "kind": ArenaKind.SYNTHETIC.value,
            "name": f"{self.name}:{size}",
            "family": self.family.value,
            "world": self.world.document(),
            "recipe": asdict(self.recipes[size]),
        }
        return told if self.settings is None else {**told, "setting": self.settings[size].document()}


_OUTCOME_START = {ArenaSize.MINI: Setting(1.0, 5e-4, 120)}
_MATCHING_START = {ArenaSize.MINI: Setting(1.0, 5e-3, 240)}

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
    ArenaSpec(
        "crowd",
        Family.PAIRWISE,
        "Every row has an annotator of its own, and tastes differ far, as much on one side of their mean as on the"
        " other.",
        (WayToWin.DIFFERING_ANNOTATORS,),
        World(p_stop=0.2, taste_spread=4.0),
        CROWD_RECIPES,
    ),
    ArenaSpec(
        "crowd-skewed",
        Family.PAIRWISE,
        "Like crowd, and most tastes lie a little on one side of their mean, few far on the other.",
        (WayToWin.DIFFERING_ANNOTATORS,),
        World(p_stop=0.2, taste_spread=4.0, taste_skew=True),
        CROWD_RECIPES,
    ),
    ArenaSpec(
        "crowd-alike",
        Family.PAIRWISE,
        "Like crowd, and everybody has the same taste.",
        (),
        World(p_stop=0.2, taste_spread=0.0),
        CROWD_RECIPES,
    ),
    ArenaSpec(
        "guardrail",
        Family.AUXILIARY,
        "A score tells which answers break a rule that annotators do not mind.",
        (WayToWin.RULE,),
        World(p_stop=0.2, rule=Rule.NOUNS, violation_cost=2.0),
        GUARDRAIL_RECIPES,
    ),
    ArenaSpec(
        "guardrail-opposed",
        Family.AUXILIARY,
        "Like guardrail, and the rule forbids just what annotators prefer.",
        (WayToWin.RULE,),
        World(p_stop=0.2, rule=Rule.PRAISE, violation_cost=2.0),
        GUARDRAIL_RECIPES,
    ),
    ArenaSpec(
        "guardrail-mild",
        Family.AUXILIARY,
        "Like guardrail, and the rule forbids some of what annotators prefer.",
        (WayToWin.RULE,),
        World(p_stop=0.2, rule=Rule.WORDS, violation_cost=2.0),
        GUARDRAIL_RECIPES,
    ),
    ArenaSpec(
        "outcome",
        Family.OUTCOME,
        "Answers handed out at random, each with what one reader made of it; the outcome model is fitted to them.",
        (WayToWin.MODEL_ERROR,),
        OutcomeWorld(p_stop=0.2, temperature=1.25, noise=2.0),
        OUTCOME_RECIPES,
        _OUTCOME_START,
    ),
    ArenaSpec(
        "outcome-confounded",
        Family.OUTCOME,
        "Like outcome, and the outcome model comes from readers who chose what they read.",
        (WayToWin.MODEL_ERROR,),
        OutcomeWorld(p_stop=0.2, temperature=1.25, noise=2.0, model=OutcomeModel.READERS),
        OUTCOME_RECIPES,
        _OUTCOME_START,
    ),
    ArenaSpec(
        "outcome-misjudged",
        Family.OUTCOME,
        "Like outcome, and propensities do not know that answers were picked before they were handed out.",
        (WayToWin.MODEL_ERROR, WayToWin.PROPENSITY_ERROR),
        OutcomeWorld(p_stop=0.2, temperature=1.25, noise=2.0, misjudged=4),
        OUTCOME_RECIPES,
        _OUTCOME_START,
    ),
    ArenaSpec(
        "plurality",
        Family.MATCHING,
        "Rewards of a policy's own short answers say how often each is preferred; junk has rewards that mean nothing.",
        (WayToWin.REFERENCE_TASTE,),
        MatchingWorld(natural=4, junk=2, length=3, prompts=4),
        MATCHING_RECIPES,
        _MATCHING_START,
    ),
    ArenaSpec(
        "plurality-littered",
        Family.MATCHING,
        "Like plurality, and rewards of junk are twice as far from what it is worth.",
        (WayToWin.REFERENCE_TASTE,),
        MatchingWorld(natural=4, junk=2, length=3, prompts=4, junk_noise=3.0),
        MATCHING_RECIPES,
        _MATCHING_START,
    ),
)

GOLD_REWARD = (
    "the valence of an answer's adjectives, +1 or -1 each, twice that behind an adverb, less 1 for each word that"
    " repeats the one before; J is its mean less the KL divergence from the base policy"
)
"""The same in every built-in arena of texts, whatever its annotators see."""
_OTHER_REWARDS = {
    Family.AUXILIARY: f"{GOLD_REWARD}, less 2 for each answer that breaks the rule",
    Family.MATCHING: (
        "of a natural answer a utility of its tokens and pairs of tokens, of junk noise; J is minus the KL divergence"
        " of the policy from how often each natural answer is the preferred one"
    ),
}


def tell_reward(family: Family) -> str:
    """Of the built-in arenas of a family."""
    return _OTHER_REWARDS.get(family, GOLD_REWARD)


ARENAS: Mapping[str, ArenaSpec] = {arena.name: arena for arena in _ARENAS}


def find_arena(name: str) -> ArenaSpec | None:
    """The built-in arena of `NAME:SIZE`, or None."""
    base, _, size = name.partition(":")
    found = ARENAS.get(base)
    return found if found is not None and size in found.recipes else None


def find_document(name: str) -> dict[str, Any] | None:
    """The document of the built-in arena `NAME:SIZE`, or None."""
    arena = find_arena(name)
    return None if arena is None else arena.document(ArenaSize(name.partition(":")[2]))


def arena_names(family: Family | None = None) -> list[str]:
    """Every `NAME:SIZE` that a campaign of the family may name."""
    return [f"{arena.name}:{size}" for arena in _ARENAS for size in arena.recipes if family in (None, arena.family)]


def list_base_policies(document: Mapping[str, Any]) -> tuple[int, ...]:
    """Of the arena of the document: an operator's has as many as it names models."""
    return tuple(range(len(document["models"]))) if document["kind"] == ArenaKind.HF else BASE_POLICIES


def hash_document(document: Mapping[str, Any]) -> str:
    """By content: an arena that changes in anything is another one. Its name is part of it."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
