"""Arenas of the kind `synthetic` on one device: base policies and draws kept warm, a training's task made of them."""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.arenas import hash_document
from discovery_service.domain.measuring import Draw
from discovery_service.domain.published import find_figures
from workers.arenas.arena import Task
from workers.arenas.cache import Cache, Tensors, hash_recipe, hash_tensors
from workers.arenas.machine import describe_machine
from workers.arenas.policies import find_weights
from workers.arenas.regimes import read_document


class SyntheticArena:
    def __init__(self, document: Mapping[str, Any], device: torch.device, cache: Cache) -> None:
        self._regime, self.world, self.recipe = read_document(document)
        self._document, self._sha256 = document, hash_document(document)
        self._device, self._cache = device, cache
        self._references: dict[int, Any] = {}
        self._draws: OrderedDict[tuple[int, str], Tensors] = OrderedDict()

    def open(self, base_policy: int, draw: Draw) -> Task:
        reference = self._find_reference(base_policy)
        made = self._find_draw(base_policy, draw)
        return self._regime.open(self.world, self.recipe, reference, draw, made)

    def held_bytes(self) -> int:
        weights = sum(_count_bytes(dict(each.state_dict())) for each in self._references.values())
        return weights + sum(map(_count_bytes, self._draws.values()))

    def forget(self, bytes_to_free: int) -> None:
        wanted_bytes = self.held_bytes() - bytes_to_free
        while self._draws and self.held_bytes() > wanted_bytes:
            self._draws.popitem(last=False)
        if self.held_bytes() > wanted_bytes:
            self._references.clear()

    def _find_reference(self, base_policy: int) -> Any:
        if base_policy not in self._references:
            model = self._regime.load(self.world, self.recipe, base_policy, self._cache)
            self._check_published(base_policy, model)
            self._references[base_policy] = model.to(self._device)
        return self._references[base_policy]

    def _check_published(self, base_policy: int, model: Any) -> None:
        """Figures and measurements meet by arena and base policy alone, so another policy must not be measured here."""
        figures = find_figures(self._sha256, base_policy)
        if figures is not None and figures.policy_sha256 != hash_tensors(find_weights(model)):
            raise RuntimeError(
                f"The base policy {base_policy} is not the one whose optimum this version publishes: "
                "install the package anew."
            )

    def _find_draw(self, base_policy: int, draw: Draw) -> Tensors:
        key = base_policy, hash_recipe(draw.document())
        if key not in self._draws:
            made = self._cache.get(*self._plan_draw(base_policy, draw))
            self._draws[key] = {name: each.to(self._device) for name, each in made.items()}
        self._draws.move_to_end(key)
        return self._draws[key]

    def _plan_draw(self, base_policy: int, draw: Draw) -> tuple[dict[str, Any], Any]:
        """By what it is known in the cache, and how it is made."""
        model = copy.deepcopy(self._references[base_policy]).cpu()
        recipe = {
            "makes": "draw",
            **{name: self._document[name] for name in ("builders", "world", "recipe")},
            "base_policy": hash_tensors(find_weights(model)),
            "draw": draw.document(),
            "machine": describe_machine(),
        }
        return recipe, partial(self._regime.build_draw, model, self.world, self.recipe, draw)


def _count_bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(each.nbytes for each in tensors.values())
