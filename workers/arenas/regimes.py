"""What the synthetic worlds of each family have of their own: base policies, what a draw makes, a training on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw
from discovery_service.domain.worlds import (
    MatchingRecipe,
    MatchingWorld,
    OutcomeModel,
    OutcomeRecipe,
    OutcomeWorld,
    PairRecipe,
    Precision,
    Rule,
    Schedule,
    World,
)
from workers.arenas import outcomes, pairs, rewards
from workers.arenas.arena import Task
from workers.arenas.cache import Cache, Tensors
from workers.arenas.matching_task import MatchingTask
from workers.arenas.outcome_task import OutcomeTask
from workers.arenas.pair_task import PairTask
from workers.arenas.policies import load_policy, load_speaker


class Opener(Protocol):
    def __call__(self, world: Any, recipe: Any, reference: Any, draw: Draw, made: Tensors) -> Task: ...


@dataclass(frozen=True)
class Regime:
    read_world: Callable[[Mapping[str, Any]], Any]
    recipe: Callable[..., Any]
    load: Callable[[Any, Any, int, Cache], Any]
    """A base policy by world, recipe and number."""
    build_draw: Callable[[Any, Any, Any, Draw], Tensors]
    open: Opener


def _load_of_texts(world: World | OutcomeWorld, recipe: PairRecipe | OutcomeRecipe, base: int, cache: Cache) -> Any:
    return load_policy(recipe, world.p_stop, base, cache)


def read_pair_world(told: Mapping[str, Any]) -> World:
    rule = told.get("rule")
    return World(**{**told, "rule": None if rule is None else Rule(rule)})


def read_outcome_world(told: Mapping[str, Any]) -> OutcomeWorld:
    return OutcomeWorld(**{**told, "model": OutcomeModel(told["model"])})


def read_matching_world(told: Mapping[str, Any]) -> MatchingWorld:
    return MatchingWorld(**told)


_OF_PAIRS = Regime(read_pair_world, PairRecipe, _load_of_texts, pairs.build_draw, PairTask)
REGIMES: Mapping[Family, Regime] = {
    Family.PAIRWISE: _OF_PAIRS,
    Family.AUXILIARY: _OF_PAIRS,
    Family.OUTCOME: Regime(read_outcome_world, OutcomeRecipe, _load_of_texts, outcomes.build_draw, OutcomeTask),
    Family.MATCHING: Regime(read_matching_world, MatchingRecipe, load_speaker, rewards.build_draw, MatchingTask),
}


def read_document(document: Mapping[str, Any]) -> tuple[Regime, Any, Any]:
    """The regime, the world and the recipe of a synthetic arena."""
    regime = REGIMES[Family(document["family"])]
    return regime, regime.read_world(document["world"]), _read_recipe(regime, document["recipe"])


def _read_recipe(regime: Regime, told: Mapping[str, Any]) -> Any:
    recipe = dict(told)
    recipe["adam_betas"] = tuple(recipe["adam_betas"])
    recipe["schedule"], recipe["precision"] = Schedule(recipe["schedule"]), Precision(recipe["precision"])
    return regime.recipe(**recipe)
