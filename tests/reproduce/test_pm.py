"""The preference matching world: its closed forms, and what its claims come to on three seeds."""

import pytest
import torch
from torch import Tensor

from tests.reproduce.conftest import Quickly, Told, find
from workers.reproduce.names import PaperName
from workers.reproduce.pm.world import JUNK_MASS, LENGTH, NATURAL, VOCABULARY, World, build, find_pm_divergence, measure
from workers.reproduce.speech import list_answers


@pytest.fixture(scope="module")
def claims(quickly: Quickly) -> list[Told]:
    return quickly(PaperName.PM)


@pytest.fixture(scope="module")
def world() -> World:
    return build(torch.Generator().manual_seed(1))


@pytest.fixture
def rewards() -> Tensor:
    return torch.randn(3, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_a_policy_that_matches_has_no_pm_divergence(rewards: Tensor) -> None:
    assert float(find_pm_divergence(rewards, rewards).max()) < 1e-12


def test_rlhf_at_beta_1_differs_by_the_reference_alone(rewards: Tensor) -> None:
    reference = torch.randn(3, 9, generator=torch.Generator().manual_seed(3), dtype=torch.float64).log_softmax(1)
    tilted = (reference + rewards).log_softmax(1)
    mean = (tilted.exp() * reference).sum(1, keepdim=True)
    variance = (tilted.exp() * (reference - mean).square()).sum(1)
    assert find_pm_divergence(tilted, rewards).tolist() == pytest.approx((2 * variance).tolist(), rel=1e-12)


def test_the_divergence_is_that_of_two_answers_of_the_policy(rewards: Tensor) -> None:
    chances = rewards.flip(1).softmax(1)
    gap = rewards - chances.log()
    both = chances[:, :, None] * chances[:, None, :] * (gap[:, :, None] - gap[:, None, :]).square()
    assert find_pm_divergence(chances.log(), rewards).tolist() == pytest.approx(both.sum((1, 2)).tolist())


def test_a_policy_that_gives_one_answer_games_it(rewards: Tensor) -> None:
    one = torch.full((3, 9), -200.0, dtype=torch.float64)
    one[:, 0] = 0
    assert float(find_pm_divergence(one, rewards).max()) < 1e-12


def test_the_model_tells_the_chances_of_all_answers(world: World) -> None:
    assert world.reference().sum(2).exp().sum(1).tolist() == pytest.approx([1.0] * 4, rel=1e-5)


def test_the_reference_speaks_junk_rarely_and_alpha_lies_between(world: World) -> None:
    assert measure(world, world.reference)["junk"] == pytest.approx(JUNK_MASS, rel=0.2)
    said = world.reference_log_probabilities().exp()
    is_junk = list_answers(VOCABULARY, LENGTH) >= NATURAL
    assert float(said[:, ~is_junk].min()) > 0.02 > float(said[:, is_junk].max())


def test_conditional_matching_matches_and_rlhf_does_not(claims: list[Told]) -> None:
    for words in (
        "beta 1, by this share",
        "cannot game",
        "in this share of the seeds",
        "alpha at .1",
        "times as likely as under the reference",
        "Without the condition",
        "at beta .1 collapses",
        "and yet its PM divergence",
    ):
        found = [each for each in claims if words in each["claim"]]
        assert found
        assert all(each["magnitude"] for each in found), found


def test_controls_say_that_they_are(claims: list[Told]) -> None:
    assert "games it" in find(claims, "and yet its PM divergence")["note"]
    assert find(claims, "Without the condition")["direction"] is None
