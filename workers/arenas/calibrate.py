"""Measures what is published of a base policy in a built-in arena: its optimum, its noise and its cost.

The optimum is that of a base policy for prompts of a certain kind, J_best = E_x[log E_{y ~ ref(.|x)} exp r], lambda
being 1: arenas that only their annotators tell apart share it, and it is kept in the cache. Minutes of one core each at
size base. In arenas of short answers the best J is 0, and that of a base policy is told of many draws' rewards.
"""

import math
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.arenas import arena_names, find_document
from discovery_service.domain.described_arenas import find_start
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.measuring import Draw, Setting, Stream
from discovery_service.domain.published import Figures
from discovery_service.domain.states import Purpose
from discovery_service.domain.worlds import ArenaSize, MatchingWorld, OutcomeWorld, World
from discovery_service.losses.described import list_described
from discovery_service.losses.graph import read_graph
from workers.arenas.arena import Arena
from workers.arenas.cache import Cache, Tensors, hash_tensors
from workers.arenas.machine import describe_machine
from workers.arenas.matching_task import measure_speech
from workers.arenas.opening import open_arena
from workers.arenas.pairs import make_evaluation_prompts
from workers.arenas.policies import find_weights
from workers.arenas.regimes import read_document
from workers.arenas.rewards import draw_rewards
from workers.arenas.sampling import make_uniforms, sample
from workers.arenas.scores import find_violations
from workers.arenas.speakers import tell_all
from workers.arenas.texts import score
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train

PROMPTS, SAMPLES = 1000, 512
REWARDS = 200
"""Draws of rewards of short answers."""
_SAMPLES_AT_ONCE = 2
"""Of every prompt; 2,000 texts at once are what sampling is fastest with."""
REPEATS = {ArenaSize.MINI: 6, ArenaSize.BASE: 3}


@dataclass(frozen=True)
class Estimate:
    mean: float
    se: float
    """Over prompts."""


@dataclass(frozen=True)
class Optimum:
    reference: Estimate
    best: Estimate


@dataclass(frozen=True)
class Repeats:
    sd: float
    """Of the difference of two trainings with the same loss on the same pairs."""
    pairs: int
    training_s: float
    measuring_s: float


def find_optimum(model: Any, world: World | OutcomeWorld | MatchingWorld, cache: Cache) -> Optimum:
    """Of the reference itself and of the best policy there can be."""
    match world:
        case MatchingWorld():
            return _find_matching(model, world)
        case OutcomeWorld():
            # Of its texts nothing is known but the reward.
            return _find_optimum(model, World(p_stop=world.p_stop), cache)
        case _:
            return _find_optimum(model, world, cache)


def _find_matching(model: Any, world: MatchingWorld) -> Optimum:
    told = tell_all(model, world)
    found = []
    for draw in range(REWARDS):
        seed = Draw(Purpose.CALIBRATE, f"optimum {draw}").seed(Stream.LABELS)
        made = {"rewards": draw_rewards(world, torch.Generator().manual_seed(seed)), "reference": told}
        found.append(measure_speech(world, told, made)["J"])
    return Optimum(_estimate(torch.tensor(found, dtype=torch.float64)), Estimate(0.0, 0.0))


def _find_optimum(model: Any, world: World, cache: Cache) -> Optimum:
    wanted = {
        "makes": "rewards of the reference",
        "version": 1,
        "base_policy": hash_tensors(find_weights(model)),
        "on_excerpts": world.on_excerpts,
        "prompts": PROMPTS,
        "samples": SAMPLES,
        "machine": describe_machine(),
    }
    if world.rule is not None:
        wanted |= {"rule": world.rule.value, "violation_cost": world.violation_cost}
    rewards = cache.get(wanted, lambda: _sample_rewards(model, world))["rewards"].double()
    return Optimum(_estimate(rewards.mean(1)), _estimate(find_best(rewards)))


def find_best(rewards: Tensor) -> Tensor:
    """Of (prompts, samples) rewards log E exp r by prompt, less the bias that the log of so few samples has.

    That bias falls with one over their number, so twice the figure of all less that of half of them is free of it.
    """
    half = rewards.shape[1] // 2
    halves = (_log_mean_exp(rewards[:, :half]) + _log_mean_exp(rewards[:, half : 2 * half])) / 2
    return 2 * _log_mean_exp(rewards) - halves


def measure_repeats(
    arena: Arena, family: Family, optimisation: Optimisation, base_policy: int, setting: Setting, pairs: int
) -> Repeats:
    """The family's reference twice on each of so many draws, in another order and sampled with other random numbers."""
    program = Program(read_graph(list_described(family)[REFERENCE_LOSSES[family]].graph))
    differences, training_s, measuring_s = [], [], []
    for pair in range(pairs):
        objectives = []
        for repeat in range(2):
            task = arena.open(base_policy, Draw(Purpose.CALIBRATE, f"repeat {pair}", repeat=repeat))
            moments = [time.process_time()]
            train(task, program, family, setting, optimisation)
            moments.append(time.process_time())
            objective = task.measure()["J"]
            moments.append(time.process_time())
            if objective is None:
                raise RuntimeError("An arena without J has no noise to be measured this way.")
            objectives.append(objective)
            training_s.append(moments[1] - moments[0])
            measuring_s.append(moments[2] - moments[1])
        differences.append(objectives[1] - objectives[0])
    return Repeats(
        sd=math.sqrt(statistics.fmean(each**2 for each in differences)),
        pairs=pairs,
        training_s=statistics.median(training_s),
        measuring_s=statistics.median(measuring_s),
    )


def calibrate_optimum(name: str, base_policy: int, cache_dir: Path) -> Figures:
    """Of the built-in arena NAME:SIZE, without noise and cost."""
    regime, world, recipe = read_document(get_document(name))
    cache = Cache(cache_dir)
    model = regime.load(world, recipe, base_policy, cache)
    optimum = find_optimum(model, world, cache)
    return Figures(
        policy_sha256=hash_tensors(find_weights(model)),
        j_ref=round(optimum.reference.mean, 4),
        j_ref_se=round(optimum.reference.se, 4),
        j_best=round(optimum.best.mean, 4),
        j_best_se=round(optimum.best.se, 4),
    )


def calibrate_noise(name: str, base_policy: int, cache_dir: Path, figures: Figures) -> Figures:
    """The figures with noise and cost."""
    document, size = get_document(name), ArenaSize(name.partition(":")[2])
    arena, optimisation = open_arena(document, torch.device("cpu"), cache_dir), Optimisation.of(document["recipe"])
    family, start = Family(document["family"]), find_start(document)
    repeats = measure_repeats(arena, family, optimisation, base_policy, start, REPEATS[size])
    return replace(
        figures,
        repeat_sd=round(repeats.sd, 4),
        # Of the root of a mean of so many squares, each of a normal deviate.
        repeat_sd_se=round(repeats.sd / math.sqrt(2 * repeats.pairs), 4),
        repeat_pairs=repeats.pairs,
        training_s=round(repeats.training_s, 2),
        measuring_s=round(repeats.measuring_s, 2),
    )


def get_document(name: str) -> dict[str, Any]:
    document = find_document(name)
    if document is None:
        raise ValueError(f"There is no built-in arena {name}: it is one of {', '.join(arena_names())}.")
    return document


def _sample_rewards(model: Any, world: World) -> Tensors:
    draw = Draw(Purpose.CALIBRATE, "optimum")
    prompts = make_evaluation_prompts(world, PROMPTS, draw.seed(Stream.EVALUATION_PROMPTS))
    repeated = prompts.repeat(_SAMPLES_AT_ONCE, 1)
    parts = []
    for part in range(SAMPLES // _SAMPLES_AT_ONCE):
        seed = Draw(Purpose.CALIBRATE, f"optimum {part}").seed(Stream.EVALUATION_SAMPLING)
        texts = sample(model, repeated, make_uniforms(len(repeated), seed)).texts
        rewards = score(texts)
        if world.rule is not None:
            rewards = rewards - world.violation_cost * find_violations(world.rule, texts)
        parts.append(rewards.view(_SAMPLES_AT_ONCE, PROMPTS).T)
    return {"rewards": torch.cat(parts, 1).to(torch.float16)}


def _log_mean_exp(rewards: Tensor) -> Tensor:
    return torch.logsumexp(rewards, 1) - math.log(rewards.shape[1])


def _estimate(values: Tensor) -> Estimate:
    return Estimate(float(values.mean()), float(values.std()) / math.sqrt(len(values)))
