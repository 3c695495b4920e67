"""An arena of short answers knows every one of them: what is measured there is exact."""

from dataclasses import replace

import pytest
import torch

from discovery_service.domain.arenas import ARENAS
from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from tests.arenas.conftest import OpenMini
from workers.arenas.matching_task import MatchingTask, find_pm_divergence, measure_speech
from workers.arenas.rewards import draw_rewards
from workers.arenas.speakers import find_natural, list_answers, tell_all, tell_log_probabilities

DRAW = Draw(Purpose.TUNE, "0")
WORLD = ARENAS["plurality"].world
NATURAL = find_natural(WORLD)


@pytest.fixture(scope="module")
def task(open_mini: OpenMini) -> MatchingTask:
    return open_mini("plurality").open(0, DRAW)


def measure(log_chances: torch.Tensor, rewards: torch.Tensor) -> dict[str, float]:
    """Of a policy that says an answer's chance at its first token."""
    told = torch.zeros(*log_chances.shape, WORLD.length, dtype=torch.float64)
    told[..., 0] = log_chances
    uniform = torch.full_like(told, -1.0)
    return measure_speech(WORLD, told, {"rewards": rewards, "reference": uniform})


def draw() -> torch.Tensor:
    return draw_rewards(WORLD, torch.Generator().manual_seed(3)).double()


def test_the_target_and_nothing_else_has_the_best_objective() -> None:
    rewards = draw()
    target = torch.where(NATURAL, rewards, -torch.inf).log_softmax(1).clamp(min=-700)
    found = measure(target, rewards)
    assert (found["J"], found["kl_to_target"], found["junk"]) == pytest.approx((0, 0, 0), abs=1e-9)
    with_junk = rewards.log_softmax(1)
    found = measure(with_junk, rewards)
    assert found["pm_divergence"] == pytest.approx(0, abs=1e-12)
    assert found["kl_to_target"] == pytest.approx(0, abs=1e-9)
    assert found["J"] < -0.1 < 0.1 < found["junk"]


def test_a_policy_of_one_answer_games_the_divergence_and_not_the_objective() -> None:
    rewards = draw()
    single = torch.full_like(rewards, -30.0)
    single[:, 0] = 0.0
    found = measure(single.log_softmax(1), rewards)
    assert found["pm_divergence"] < 1e-6
    assert found["J"] < -5


def test_the_divergence_is_the_mean_square_over_two_answers() -> None:
    generator = torch.Generator().manual_seed(4)
    log_chances = torch.randn(1, 5, generator=generator, dtype=torch.float64).log_softmax(1)
    rewards = torch.randn(1, 5, generator=generator, dtype=torch.float64)
    gap, chances = (rewards - log_chances)[0], log_chances.exp()[0]
    expected = sum(
        chances[one] * chances[other] * (gap[one] - gap[other]) ** 2 for one in range(5) for other in range(5)
    )
    assert float(find_pm_divergence(log_chances, rewards)) == pytest.approx(float(expected))


def test_rewards_of_natural_answers_are_standardised_and_of_junk_they_are_noise() -> None:
    rewards = draw()
    assert torch.allclose(rewards[:, NATURAL].mean(1), torch.zeros(WORLD.prompts, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(rewards[:, NATURAL].std(1), torch.ones(WORLD.prompts, dtype=torch.float64), atol=1e-6)
    assert float(rewards[:, ~NATURAL].std()) == pytest.approx(WORLD.junk_noise, abs=0.15)


def test_every_answer_is_told_as_it_is_told_alone(task: MatchingTask) -> None:
    told = tell_all(task.policy.model, WORLD)
    prompts = torch.arange(WORLD.prompts).repeat_interleave(5)
    answers = torch.randint(len(list_answers(WORLD)), (len(prompts),), generator=torch.Generator().manual_seed(1))
    alone = tell_log_probabilities(task.policy.model, WORLD, prompts, answers)
    torch.testing.assert_close(told[prompts, answers], alone.detach(), atol=1e-5, rtol=1e-5)


def test_a_placebo_has_the_same_truth_and_an_order_of_its_own(open_mini: OpenMini) -> None:
    task, placebo = (open_mini("plurality").open(0, replace(DRAW, salt=salt)) for salt in ("", "placebo"))
    assert torch.equal(task._made["rewards"], placebo._made["rewards"])
    first, second = (each.batches.take(each.policy).rows["answers"] for each in (task, placebo))
    assert not torch.equal(first, second)


def test_a_batch_is_sampled_from_the_policy_as_it_is(open_mini: OpenMini) -> None:
    task = open_mini("plurality").open(0, DRAW)
    with torch.no_grad():
        # One token of all becomes likely or unlikely, by what was said before.
        task.policy.model.lm_head.weight.zero_()
        task.policy.model.lm_head.weight[2] = 100 * task.policy.model.model.norm.weight
    chances = tell_all(task.policy.model, WORLD).sum(2).exp()
    batch = task.batches.take(task.policy)
    assert batch.inputs["group"].bincount().tolist() == [64] * WORLD.prompts
    likely = chances[batch.rows["prompts"], batch.rows["answers"]]
    usual = chances.square().sum(1).mean()
    assert float(likely.mean()) == pytest.approx(float(usual), rel=0.25)
    rewards = task._made["rewards"][batch.rows["prompts"], batch.rows["answers"]]
    assert torch.equal(batch.inputs["rewards"], rewards)
