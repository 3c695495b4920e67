"""Arenas of the kind `synthetic` on one device: base policies and draws kept warm, a training's task made of them."""

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.arenas import BUILDERS, ArenaKind, Precision, Recipe, Schedule, World, hash_document
from discovery_service.domain.measuring import Draw, Stream
from discovery_service.domain.published import find_figures
from workers.arenas.arena import Batch, Policy
from workers.arenas.cache import Cache, Tensors, hash_recipe, hash_tensors
from workers.arenas.causal import completion_log_probabilities
from workers.arenas.machine import describe_machine
from workers.arenas.measures import answer, measure_answers, measure_pairs, measure_proxy
from workers.arenas.pairs import build_draw
from workers.arenas.policies import find_weights, load_policy
from workers.arenas.sampling import make_uniforms
from workers.arenas.texts import is_answer


class SyntheticArena:
    def __init__(self, document: Mapping[str, Any], device: torch.device, cache: Cache) -> None:
        self.world, self.recipe = read_world(document), read_recipe(document)
        self._sha256 = hash_document(document)
        self._device, self._cache = device, cache
        self._references: dict[int, Any] = {}
        self._draws: OrderedDict[tuple[int, str], Tensors] = OrderedDict()

    def open(self, base_policy: int, draw: Draw) -> "SyntheticTask":
        reference = self._find_reference(base_policy)
        made = self._find_draw(base_policy, draw)
        return SyntheticTask(self.world, self.recipe, reference, draw, made)

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
            model = load_policy(self.recipe, self.world.p_stop, base_policy, self._cache)
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
            "version": BUILDERS[ArenaKind.SYNTHETIC]["draws"],
            "world": vars(self.world),
            "base_policy": hash_tensors(find_weights(model)),
            "pairs": self.recipe.pairs,
            "held_out_pairs": self.recipe.held_out_pairs,
            "evaluation_texts": self.recipe.evaluation_texts,
            "draw": draw.document(),
            "machine": describe_machine(),
        }
        return recipe, partial(build_draw, model, self.world, self.recipe, draw)


class SyntheticTask:
    """One training: a copy of the reference to be trained, on a draw's pairs, measured on its prompts."""

    def __init__(self, world: World, recipe: Recipe, reference: Any, draw: Draw, made: Tensors) -> None:
        self._world, self._reference, self._draw, self._made = world, reference, draw, made
        self.policy = PairPolicy(_copy_to_train(reference))
        self.batches = PairBatches(made, recipe.batch, draw.seed(Stream.ORDER))

    def measure(self) -> dict[str, float | None]:
        made, model = self._made, self.policy.model
        prompts = made["prompts"].long()
        uniforms = make_uniforms(len(prompts), self._draw.seed(Stream.EVALUATION_SAMPLING)).to(prompts.device)
        answers = answer(model, self._reference, prompts, uniforms)
        found: dict[str, float | None] = {**measure_answers(answers, made["reference_rewards"])}
        found |= measure_pairs(model, made, do_annotators_differ=self._world.sloppy > 0)
        if "proxy" in made:
            found["proxy_reward"] = measure_proxy(answers.texts, made["proxy"])
        return found


class PairPolicy:
    def __init__(self, model: Any) -> None:
        self.model = model

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        found: Iterable[torch.nn.Parameter] = self.model.parameters()
        return found

    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        """Both answers in one forward pass."""
        texts = batch.rows["texts"].flatten(0, 1)
        chosen, rejected = completion_log_probabilities(self.model, texts, None, is_answer(texts)).view(-1, 2).unbind(1)
        return {"policy_chosen_logps": chosen, "policy_rejected_logps": rejected}


class PairBatches:
    """Each pass over the pairs in an order of its own; what does not fill a batch is left out of it."""

    def __init__(self, made: Tensors, size: int, seed: int) -> None:
        self._texts = made["texts"].long()
        lengths = is_answer(self._texts).sum(-1).float()
        self._columns = torch.cat((made["reference"].T, lengths.T)).contiguous()
        self._annotator = made["annotator"].long()
        self._size, self._order = size, torch.Generator().manual_seed(seed)
        self._left = self._texts.new_empty(0)

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - pairs are not sampled from the policy that trains
        if len(self._left) < self._size:
            self._left = torch.randperm(len(self._texts), generator=self._order).to(self._texts.device)
        rows, self._left = self._left[: self._size], self._left[self._size :]
        reference_chosen, reference_rejected, chosen, rejected = self._columns.index_select(1, rows).unbind()
        inputs = {
            "reference_chosen_logps": reference_chosen,
            "reference_rejected_logps": reference_rejected,
            "chosen_lengths": chosen,
            "rejected_lengths": rejected,
            "annotator": self._annotator[rows],
        }
        return Batch(inputs=inputs, rows={"texts": self._texts[rows]})


def read_world(document: Mapping[str, Any]) -> World:
    return World(**document["world"])


def read_recipe(document: Mapping[str, Any]) -> Recipe:
    recipe = dict(document["recipe"])
    recipe["adam_betas"] = tuple(recipe["adam_betas"])
    recipe["schedule"], recipe["precision"] = Schedule(recipe["schedule"]), Precision(recipe["precision"])
    return Recipe(**recipe)


def _copy_to_train(reference: Any) -> Any:
    return copy.deepcopy(reference, {id(reference.config): reference.config}).requires_grad_(True)


def _count_bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(each.nbytes for each in tensors.values())
