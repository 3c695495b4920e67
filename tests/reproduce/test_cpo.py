"""The world of CPO: doubly robust values exactly, and what its claims come to on three seeds."""

import pytest
import torch
from torch import Tensor

from tests.reproduce.conftest import Quickly, Told, find
from workers.reproduce.cpo.estimators import by_model, by_propensity, doubly
from workers.reproduce.cpo.world import Rows, World, build, cross_fit, hand_out, let_choose
from workers.reproduce.names import PaperName


@pytest.fixture(scope="module")
def claims(quickly: Quickly) -> list[Told]:
    return quickly(PaperName.CPO)


@pytest.fixture(scope="module")
def world() -> World:
    return build(torch.Generator().manual_seed(1))


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("is_modelled", [True, False])
def test_the_bias_is_the_product_of_both_errors(is_known: bool, is_modelled: bool) -> None:
    """On rows that hold each text as often as it is handed out the value is its own expectation."""
    counts = torch.tensor([1, 2, 3, 4])
    texts = torch.arange(4).repeat_interleave(counts)
    propensity, start = counts / 10, torch.full((4,), 0.25, dtype=torch.float64)
    truth, policy = draw(4, seed=1), draw(4, seed=2).softmax(0)
    assumed = propensity if is_known else draw(4, seed=3).softmax(0)
    model = truth if is_modelled else draw(4, seed=4)
    value = doubly(policy, assumed, Rows(texts, truth[texts]), start, torch.arange(4), model)
    bias = find_bias(policy, propensity, assumed, truth, model)
    assert float(value - policy @ truth) == pytest.approx(bias, abs=1e-7)
    assert (abs(bias) < 1e-7) == (is_known or is_modelled)


def test_without_a_model_it_is_the_value_by_propensity() -> None:
    policy, propensity = draw(4, seed=1).softmax(0), draw(4, seed=2).softmax(0)
    rows, nothing = Rows(torch.arange(4), draw(4, seed=3)), torch.zeros(4, dtype=torch.float64)
    value = doubly(policy, propensity, rows, propensity, torch.arange(4), nothing)
    assert float(value) == pytest.approx(float(by_propensity(policy, propensity, rows)))
    assert float(by_model(policy, propensity, torch.arange(4), nothing)) == 0


def test_readers_who_choose_judge_against_the_truth_and_those_who_do_not_judge_by_it(world: World) -> None:
    assert float(torch.corrcoef(torch.stack((world.truth, world.chosen_by)))[0, 1]) == pytest.approx(-0.5, abs=1e-3)
    for rows, biased in (
        (hand_out(world, 50_000, torch.Generator().manual_seed(2)), False),
        (let_choose(world, 50_000, torch.Generator().manual_seed(2)), True),
    ):
        errors = rows.outcomes - world.truth[rows.texts]
        slope = float((errors * world.chosen_by[rows.texts]).mean())
        assert (slope > 0.5) is biased
        assert abs(slope) > 0.5 or abs(slope) < 0.05


def test_a_row_is_predicted_by_models_that_have_not_seen_it(world: World) -> None:
    rows = hand_out(world, 100, torch.Generator().manual_seed(3))
    of_rows, _ = cross_fit(rows)
    changed = Rows(rows.texts, rows.outcomes.clone())
    changed.outcomes[7] += 100
    again, _ = cross_fit(changed)
    same_fold = torch.arange(100) % 5 == 7 % 5
    assert torch.equal(again[same_fold], of_rows[same_fold])
    assert not torch.equal(again[~same_fold], of_rows[~same_fold])


def test_one_right_nuisance_is_enough_and_two_wrong_ones_are_not(claims: list[Told]) -> None:
    for words in ("is confounded: within", "propensity is wrong: within", "off where both", "alone is off", "scatters"):
        assert find(claims, words)["magnitude"], find(claims, words)


def test_policies_from_outcomes_are_better_than_those_of_a_confounded_model(claims: list[Told]) -> None:
    for words in ("OO-RLHF's where the outcome model is confounded", "in this share of the seeds", "the better half"):
        assert find(claims, words)["magnitude"], find(claims, words)


def find_bias(policy: Tensor, propensity: Tensor, assumed: Tensor, truth: Tensor, predictions: Tensor) -> float:
    """Of the doubly robust value, exactly: the product of both errors, so that none is left where one of them is 0."""
    return float((propensity * (policy / assumed - policy / propensity) * (truth - predictions)).sum())
