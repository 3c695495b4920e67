"""What is made of a family's inputs follows from their units, shapes and roles."""

from random import Random

from discovery_service.domain.families import Family
from discovery_service.losses.families import Unit
from workers.symbolic.quantities import (
    STRONGEST,
    WEAKEST,
    draw_factor,
    draw_known,
    find_answers,
    list_differences,
    list_margins,
    list_ratios,
    list_rows,
)


def told(quantities: object) -> set[str]:
    return {each.text for each in quantities}  # type: ignore[attr-defined]


def test_what_is_compared_differs_in_one_thing() -> None:
    differences = told(list_differences(Family.PAIRWISE))
    assert "(chosen_lengths - rejected_lengths)" in differences
    assert "(reference_chosen_logps - reference_rejected_logps)" in differences
    assert "(policy_chosen_logps - reference_chosen_logps)" in differences
    assert "(policy_chosen_logps - reference_rejected_logps)" not in differences
    assert "(policy_chosen_logps - chosen_lengths)" not in differences


def test_scores_are_all_compared() -> None:
    assert "(chosen_aux - prompt_value)" in told(list_differences(Family.AUXILIARY))
    assert "(outcomes - predicted_outcomes)" in told(list_differences(Family.OUTCOME))


def test_tokens_are_added_up_and_counted_by_the_mask() -> None:
    assert told(list_rows(Family.MATCHING)) == {"policy_logps", "reference_logps", "length", "rewards"}
    assert told(list_ratios(Family.MATCHING)) == {"(policy_logps - reference_logps)"}


def test_a_margin_is_of_the_policy_and_no_reference_alone() -> None:
    assert (
        "((policy_chosen_logps - reference_chosen_logps) - (policy_rejected_logps - reference_rejected_logps))"
        in told(list_margins(Family.PAIRWISE))
    )
    both = "((policy_logps - behavior_logps) - (policy_logps - reference_logps))"
    assert both not in told(list_margins(Family.OUTCOME)), "the policy is not in it"


def test_a_score_tells_of_the_answer_whose_words_it_has() -> None:
    answers = {each.text: find_answers(Family.AUXILIARY, each) for each in list_rows(Family.AUXILIARY)}
    assert answers["chosen_aux"] == answers["policy_chosen_logps"] == {"chosen"}
    assert answers["prompt_value"] == frozenset()


def test_what_is_known_never_moves_and_every_unit_is_drawn() -> None:
    for family in Family:
        drawn = [draw_known(family, Random(seed)) for seed in range(60)]
        assert not any(each.is_moving for each in drawn)
        units = {each.unit for each in list_rows(family) if not each.is_moving}
        assert {each.unit for each in drawn} == units


def test_what_is_added_is_of_a_size_that_a_logit_notices() -> None:
    of = next(each for each in list_differences(Family.PAIRWISE) if each.unit is Unit.LENGTH)
    factors = [draw_factor(of.size, Random(seed)) for seed in range(100)]
    assert min(factors) >= 0.9 * WEAKEST / of.size
    assert max(factors) <= 1.1 * STRONGEST / of.size
    assert all(len(f"{each:g}".strip("0.")) == 1 for each in factors), "one digit"
