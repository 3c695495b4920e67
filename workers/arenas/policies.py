"""Where a base policy comes from: the files of the package, or, of an arena that has none there, pre-training.

`python -m workers.arenas.pretrain` makes the package's files. They ship because another processor would train others,
and every published figure would be of other policies than the ones at hand.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from discovery_service.domain.arenas import BUILDERS, ArenaKind
from discovery_service.domain.families import Family
from discovery_service.domain.worlds import MatchingRecipe, MatchingWorld, Recipe
from workers.arenas.cache import Cache, Tensors, hash_recipe, hash_tensors, read_tensors
from workers.arenas.language import build_model, pretrain
from workers.arenas.machine import describe_machine
from workers.arenas.speakers import build_speaker, pretrain_speaker

_OF_MODEL = ("hidden", "layers", "inner", "heads")
_OF_TRAINING = ("adam_betas", "pretraining_rate", "pretraining_texts", "pretraining_steps", "pretraining_batch")


def shipped_directory() -> Path:
    return Path(str(files("workers.arenas") / "policies"))


def describe_policy(recipe: Recipe, p_stop: float, base_policy: int) -> dict[str, Any]:
    """All that decides what a base policy of texts is."""
    version = BUILDERS[ArenaKind.SYNTHETIC][Family.PAIRWISE]["policies"]
    told = {"makes": "base policy", "version": version, "base_policy": base_policy, "p_stop": p_stop}
    return {**told, **_describe_recipe(recipe)}


def describe_speaker(recipe: MatchingRecipe, world: MatchingWorld, base_policy: int) -> dict[str, Any]:
    """All that decides what a base policy of short answers is."""
    version = BUILDERS[ArenaKind.SYNTHETIC][Family.MATCHING]["speakers"]
    of_world = {name: getattr(world, name) for name in ("natural", "junk", "length", "prompts", "junk_mass")}
    told = {"makes": "speaker", "version": version, "base_policy": base_policy, **of_world}
    return {**told, **_describe_recipe(recipe)}


def _describe_recipe(recipe: Recipe) -> dict[str, Any]:
    known = asdict(recipe)
    return {name: known[name] for name in (*_OF_MODEL, *_OF_TRAINING)}


def load_policy(recipe: Recipe, p_stop: float, base_policy: int, cache: Cache) -> Any:
    """A model on the CPU, not to be trained itself."""
    described = describe_policy(recipe, p_stop, base_policy)
    return _load(build_model(recipe), described, lambda: pretrain(recipe, p_stop, base_policy), cache)


def load_speaker(world: MatchingWorld, recipe: MatchingRecipe, base_policy: int, cache: Cache) -> Any:
    """The same of short answers."""
    described = describe_speaker(recipe, world, base_policy)
    return _load(build_speaker(world, recipe), described, lambda: pretrain_speaker(world, recipe, base_policy), cache)


def _load(model: Any, described: dict[str, Any], make: Callable[[], Any], cache: Cache) -> Any:
    weights = find_shipped(described)
    if weights is None:
        weights = cache.get({**described, "machine": describe_machine()}, lambda: find_weights(make()))
    model.load_state_dict(weights)
    # Of 25 tokens plain products are faster than SDPA: 13.3 against 15.9 ms a step at mini, 62.5 against 64.2 at base.
    # J of DPO, IPO, SLiC and exp moved by at most 1e-6 in 24 trainings; dpop, sign, padll and aqfl begin on a kink, and
    # go where any rounding sends them. Pre-training keeps to what made the package's files.
    model.set_attn_implementation("eager")
    return model.requires_grad_(False)


def find_weights(model: Any) -> Tensors:
    return {name: each.detach().clone() for name, each in sorted(model.state_dict().items())}


def find_shipped(described: Mapping[str, Any]) -> Tensors | None:
    """Raises RuntimeError where the package's file is not what was shipped."""
    entry = list_shipped().get(hash_recipe(described))
    if entry is None:
        return None
    path = shipped_directory() / entry["file"]
    weights = read_tensors(path)
    if weights is None or hash_tensors(weights) != entry["sha256"]:
        raise RuntimeError(f"{path} is not the base policy that this version came with: install the package anew.")
    return weights


@cache
def list_shipped() -> dict[str, dict[str, Any]]:
    """By the hash of what describes a policy: its file, the hash of its weights, its cross-entropy on fresh texts."""
    path = shipped_directory() / "index.json"
    return json.loads(path.read_text()) if path.exists() else {}
