"""What an arena of outcomes hides is hidden where it says, and nowhere else."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from discovery_service.domain.arenas import ARENAS
from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from discovery_service.domain.worlds import OUTCOME_RECIPES, ArenaSize
from tests.arenas.conftest import LoadPolicy, OpenMini
from workers.arenas import outcomes
from workers.arenas.cache import Tensors
from workers.arenas.outcomes import build_draw, find_appeal, predict
from workers.arenas.pairs import find_log_probabilities
from workers.arenas.temperature import AtTemperature
from workers.arenas.texts import score

DRAW = Draw(Purpose.TUNE, "0")
RECIPE = replace(OUTCOME_RECIPES[ArenaSize.MINI], evaluation_texts=64)


def make(mini_policy: LoadPolicy, name: str) -> Tensors:
    return build_draw(mini_policy(0.2, 0), ARENAS[name].world, RECIPE, DRAW)


def errors_by_appeal(made: Tensors) -> float:
    """By how much more the outcome model is wrong about an answer that readers feel drawn to."""
    texts = made["sampled"].long()
    return float(slope(find_appeal(texts), made["sampled_predicted"] - score(texts)))


def slope(x: Tensor, y: Tensor) -> Tensor:
    return ((x - x.mean()) * (y - y.mean())).mean() / x.var()


def test_outcomes_are_the_reward_and_noise_whatever_the_variant(mini_policy: LoadPolicy) -> None:
    for name in ("outcome", "outcome-confounded", "outcome-misjudged"):
        made = make(mini_policy, name)
        noise = made["outcomes"] - score(made["recorded"].long())
        assert abs(float(noise.mean())) < 0.25
        assert float(noise.std()) == pytest.approx(2.0, abs=0.15)
        assert abs(float(slope(find_appeal(made["recorded"].long()), noise))) < 0.25


def test_readers_who_chose_mislead_the_outcome_model_and_a_trial_does_not(mini_policy: LoadPolicy) -> None:
    assert errors_by_appeal(make(mini_policy, "outcome-confounded")) > 1.5
    assert abs(errors_by_appeal(make(mini_policy, "outcome"))) < 0.75


def test_propensities_are_those_of_the_warmer_policy_and_say_nothing_of_what_was_picked(
    mini_policy: LoadPolicy,
) -> None:
    world = ARENAS["outcome"].world
    honest, misjudged = make(mini_policy, "outcome"), make(mini_policy, "outcome-misjudged")
    for made in (honest, misjudged):
        told = find_log_probabilities(AtTemperature(mini_policy(0.2, 0), world.temperature), made["recorded"].long())
        assert torch.equal(made["behavior"], told)
    picked, given = (float(find_appeal(made["recorded"].long()).mean()) for made in (misjudged, honest))
    assert picked > given + 0.4


def test_a_row_is_predicted_by_a_model_that_has_not_seen_its_outcome(mini_policy: LoadPolicy) -> None:
    made = make(mini_policy, "outcome")
    texts, changed = made["recorded"].long(), made["outcomes"].clone()
    predicted, _ = outcomes._cross_fit(texts, changed)
    assert torch.equal(predicted, made["predicted"])
    changed[6] += 100
    again, _ = outcomes._cross_fit(texts, changed)
    fold = torch.arange(len(texts)) % outcomes.FOLDS == 6 % outcomes.FOLDS
    assert torch.equal(again[fold], predicted[fold])
    assert not torch.equal(again[~fold], predicted[~fold])


def test_bias_is_what_the_outcome_model_has_too_much(open_mini: OpenMini) -> None:
    task = open_mini("outcome-confounded").open(0, DRAW)
    found, made = task.measure(), task._made
    # Untrained, the policy answers as the reference does.
    texts = made["sampled"].long()
    usual = float((predict(made["outcome_model"], texts) - score(texts)).mean())
    assert found["bias"] == pytest.approx(usual, abs=0.3)
    assert found["kl"] == pytest.approx(0.0, abs=1e-6)
