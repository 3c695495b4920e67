"""The losses of the families beside the pairwise one: what their papers prove of them, and the formulas in floats."""

import math
from collections.abc import Mapping
from itertools import product
from statistics import fmean, median

import pytest
import torch
from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.known import list_known
from tests.losses.eager import load

FAMILIES = (Family.AUXILIARY, Family.OUTCOME, Family.MATCHING)
KNOWN = {(family, each.name): each for family in FAMILIES for each in list_known(family)}
ROWS = 7
BETA = 0.7


def call(family: Family, name: str, inputs: Mapping[str, Tensor], **values: float) -> Tensor:
    function = load(KNOWN[family, name].text)
    asked = function.__code__.co_varnames[: function.__code__.co_argcount]
    return function(**{each: inputs[each] for each in asked if each in inputs}, **values)


def draw(family: Family, rows: int = ROWS) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    beta = torch.tensor(BETA, dtype=torch.float64)
    if family is Family.OUTCOME:
        names = ("policy_logps", "behavior_logps", "sampled_policy_logps", "sampled_reference_logps")
        scores = ("outcomes", "predicted_outcomes", "sampled_predicted_outcomes")
        return {name: normal(rows) - 9 for name in names} | {name: normal(rows) for name in scores} | {"beta": beta}
    names = ("policy_chosen_logps", "policy_rejected_logps", "reference_chosen_logps", "reference_rejected_logps")
    scores = ("chosen_aux", "rejected_aux", "prompt_value")
    return {name: 2 * normal(rows) - 9 for name in names} | {name: normal(rows) for name in scores} | {"beta": beta}


@pytest.mark.parametrize("name", KNOWN, ids="-".join)
def test_a_source_says_who_published_it_and_what_differs(name: tuple[Family, str]) -> None:
    known = KNOWN[name]
    assert known.title.endswith(".")
    assert "arXiv" in known.paper
    assert known.defaults
    assert known.differs


def test_a_doubly_robust_value_without_a_model_is_that_by_propensity() -> None:
    inputs = draw(Family.OUTCOME)
    nothing = torch.zeros(ROWS, dtype=torch.float64)
    without = inputs | {"predicted_outcomes": nothing, "sampled_predicted_outcomes": nothing}
    doubly, by_propensity = (call(Family.OUTCOME, name, without) for name in ("dr_cpo", "cpo"))
    assert torch.allclose(doubly, by_propensity, rtol=1e-12)


def test_a_model_that_knows_the_outcomes_leaves_nothing_to_propensity() -> None:
    inputs = draw(Family.OUTCOME)
    knowing = inputs | {"predicted_outcomes": inputs["outcomes"]}
    doubly, modelled = (call(Family.OUTCOME, name, knowing) for name in ("dr_cpo", "oo_rlhf"))
    assert torch.equal(doubly, modelled)


def test_outcome_losses_are_their_formulas() -> None:
    inputs = draw(Family.OUTCOME)
    told = {name: each.tolist() for name, each in inputs.items()}

    def weigh(one: list[float], other: list[float]) -> list[float]:
        ratios = [math.exp(a - b) for a, b in zip(one, other, strict=True)]
        return [ratio / fmean(ratios) for ratio in ratios]

    sampled = weigh(told["sampled_policy_logps"], told["sampled_reference_logps"])
    divergence = [BETA * weight * math.log(weight) for weight in sampled]
    recorded = weigh(told["policy_logps"], told["behavior_logps"])
    modelled = [weight * each for weight, each in zip(sampled, told["sampled_predicted_outcomes"], strict=True)]
    earned = [weight * each for weight, each in zip(recorded, told["outcomes"], strict=True)]
    good = median(told["outcomes"])
    expected = {
        "cpo": [one - other for one, other in zip(divergence, earned, strict=True)],
        "oo_rlhf": [one - other for one, other in zip(divergence, modelled, strict=True)],
        "sft_best_half": [-logp * (y >= good) for logp, y in zip(told["policy_logps"], told["outcomes"], strict=True)],
    }
    for name, values in expected.items():
        assert call(Family.OUTCOME, name, inputs).tolist() == pytest.approx(values, rel=1e-9)


@pytest.mark.parametrize("name", ["cpo", "dr_cpo", "oo_rlhf"])
def test_making_all_sampled_answers_less_likely_lowers_no_divergence(name: str) -> None:
    """Or a policy flees to answers that nobody has sampled, which cost it nothing."""
    inputs = draw(Family.OUTCOME)
    fled = inputs | {"sampled_policy_logps": inputs["sampled_policy_logps"] - 5}
    assert torch.allclose(call(Family.OUTCOME, name, fled), call(Family.OUTCOME, name, inputs), rtol=1e-9)


@pytest.mark.parametrize(("name", "value"), [("upo_dpo", {"gamma": 0.0}), ("modpo", {"weight": 0.0})])
def test_without_its_auxiliary_part_it_is_dpo(name: str, value: dict[str, float]) -> None:
    inputs = draw(Family.AUXILIARY)
    assert torch.equal(call(Family.AUXILIARY, name, inputs, **value), call(Family.AUXILIARY, "dpo", inputs))


def test_upo_on_kto_without_its_auxiliary_part_is_kto() -> None:
    inputs = draw(Family.AUXILIARY)
    without = call(Family.AUXILIARY, "upo_kto", inputs, gamma=0.0)
    assert torch.allclose(without, call(Family.AUXILIARY, "kto_pair", inputs))


def test_an_advantage_weighs_no_more_than_the_largest_weight() -> None:
    inputs = draw(Family.AUXILIARY) | {"chosen_aux": torch.full((ROWS,), 1e6, dtype=torch.float64)}
    bounded = call(Family.AUXILIARY, "upo_dpo", inputs, gamma=1.0, largest=20.0)
    expected = -20 * inputs["policy_chosen_logps"]
    expected -= ((inputs["rejected_aux"] - inputs["prompt_value"]) / 0.3).exp().clamp(max=20) * inputs[
        "policy_rejected_logps"
    ]
    assert torch.allclose(bounded, expected + call(Family.AUXILIARY, "dpo", inputs))


# Every answer of two tokens out of three.
ANSWERS = torch.tensor(list(product(range(3), repeat=2)))


def find_drift(name: str, logits: Tensor, reference: Tensor, rewards: Tensor, **values: float) -> float:
    """Of the mean loss over answers as the policy gives them: the largest slope at its logits, for first tokens and
    for second tokens after each."""
    logits = logits.clone().requires_grad_()

    def log_probabilities(of: Tensor) -> Tensor:
        first, second = of[:3].log_softmax(0), of[3:].view(3, 3).log_softmax(1)
        return torch.stack((first[ANSWERS[:, 0]], second[ANSWERS[:, 0], ANSWERS[:, 1]]), dim=1)

    policy = log_probabilities(logits)
    chances = policy.sum(1).exp().detach()
    inputs = {
        "policy_token_logps": policy,
        "reference_token_logps": log_probabilities(reference),
        "mask": torch.ones_like(policy),
        "rewards": rewards,
        # Each alone: no baseline, which changes no mean.
        "group": torch.arange(len(ANSWERS)),
        "beta": torch.tensor(1.0, dtype=torch.float64),
    }
    losses = call(Family.MATCHING, name, inputs, **values)
    (slopes,) = torch.autograd.grad((chances * losses).sum(), logits)
    return float(slopes.abs().max())


def fit_logits(target: Tensor) -> Tensor:
    """Of the policy that gives each answer with these log-weights."""
    table = target.log_softmax(0).view(3, 3)
    return torch.cat((table.logsumexp(1), table.flatten()))


@pytest.fixture
def world() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    reference = torch.randn(12, generator=generator, dtype=torch.float64)
    return reference, torch.randn(9, generator=generator, dtype=torch.float64)


def tell_reference(reference: Tensor) -> Tensor:
    first, second = reference[:3].log_softmax(0), reference[3:].view(3, 3).log_softmax(1)
    return torch.stack((first[ANSWERS[:, 0]], second[ANSWERS[:, 0], ANSWERS[:, 1]]), dim=1)


def test_preference_matching_rests_where_answers_are_as_likely_as_they_win(world: tuple[Tensor, Tensor]) -> None:
    reference, rewards = world
    assert find_drift("pm", fit_logits(rewards), reference, rewards) < 1e-14
    assert find_drift("kl_rlhf", fit_logits(rewards), reference, rewards) > 1e-2


def test_rlhf_rests_where_the_reference_is_tilted_by_the_reward(world: tuple[Tensor, Tensor]) -> None:
    reference, rewards = world
    tilted = fit_logits(tell_reference(reference).sum(1) + rewards)
    assert find_drift("kl_rlhf", tilted, reference, rewards) < 1e-14
    assert find_drift("pm", tilted, reference, rewards) > 1e-2


@pytest.mark.parametrize(("alpha", "same"), [(1e-30, "pm"), (1.5, "kl_rlhf")])
def test_conditional_matching_lies_between_matching_and_rlhf(
    world: tuple[Tensor, Tensor], alpha: float, same: str
) -> None:
    reference, rewards = world
    start = torch.zeros(12, dtype=torch.float64)
    one = find_drift("conditional_pm", start, reference, rewards, alpha=alpha)
    assert one == pytest.approx(find_drift(same, start, reference, rewards), rel=1e-12)


def test_conditional_matching_takes_the_references_word_for_unnatural_tokens(world: tuple[Tensor, Tensor]) -> None:
    reference, rewards = world
    said = tell_reference(reference)
    rest = torch.where(said > math.log(0.2), torch.zeros_like(said), said).sum(1)
    assert find_drift("conditional_pm", fit_logits(rewards + rest), reference, rewards, alpha=0.2) < 1e-14


def test_the_baseline_is_what_the_other_answers_to_the_prompt_earn() -> None:
    rewards = torch.tensor([1.0, 2.0, 6.0, -3.0], dtype=torch.float64)
    policy = torch.zeros(4, 1, dtype=torch.float64, requires_grad=True)
    inputs = {
        "policy_token_logps": policy,
        "reference_token_logps": torch.zeros(4, 1, dtype=torch.float64),
        "mask": torch.ones(4, 1, dtype=torch.float64),
        "rewards": rewards,
        "group": torch.tensor([0, 0, 0, 1]),
        "beta": torch.tensor(1.0, dtype=torch.float64),
    }
    (slopes,) = torch.autograd.grad(call(Family.MATCHING, "kl_rlhf", inputs).sum(), policy)
    # The reward of 6 counts as 5; who is alone has no others to be compared with.
    assert slopes.flatten().tolist() == pytest.approx([2.5, 1.0, -3.5, 3.0])
