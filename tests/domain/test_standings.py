"""What a standing says of measurements, and what it keeps to itself."""

from dataclasses import replace

import pytest

from discovery_service.domain.confirming import compare
from discovery_service.domain.differences import Occasion, find_differences, pool_variance
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting
from discovery_service.domain.outcomes import Lack, tell_discoveries, tell_no_finalist
from discovery_service.domain.screening import Spread, find_usual_sd, fit_spread, screen
from discovery_service.domain.standings import (
    ABANDONED,
    Score,
    Trained,
    find_own_spread,
    score_confirmation,
    score_reference,
    score_screen,
)

SETTING, OTHER, SPREAD = Setting(1.0, 1.5e-3, 120), Setting(0.5, 1.5e-3, 120), Spread(0.1, 3)
SCREENED = [Occasion(0, str(number)) for number in range(3)]
CONFIRMED = [Occasion(policy, f"{policy} {number}") for policy in range(3) for number in range(3)]


def trained(values: list[float], occasions: list[Occasion], **others: float) -> Trained:
    metrics = {at: {"J": value, "kl": 0.5, **others} for at, value in zip(occasions, values, strict=False)}
    return Trained(SETTING, "J", metrics)


def test_a_screen_is_the_paired_difference_with_the_shrunken_variance_and_no_verdict() -> None:
    loss, dpo = trained([1.0, 1.2, 1.1], SCREENED), trained([0.5, 0.9, 0.7], SCREENED)
    score = score_screen(loss, dpo, SCREENED, SPREAD)
    assert score.interval == screen([0.5, 1.2 - 0.9, 1.1 - 0.7], SPREAD)
    assert (score.draws, score.verdict) == (3, None)
    assert score.figures["means"]["J"]["mean"] == pytest.approx(1.1)
    assert set(score.figures["means"]) == {"J", "kl"}
    assert score_screen(dpo, None, SCREENED, SPREAD).interval is None


def test_without_all_draws_of_both_there_is_no_interval() -> None:
    whole, part = trained([1.0, 1.2, 1.1], SCREENED), trained([0.5, 0.9], SCREENED)
    failed = replace(part, failures={SCREENED[2]: "non_finite"})
    for loss, dpo in ((whole, part), (part, whole), (failed, whole), (whole, failed)):
        assert score_screen(loss, dpo, SCREENED, SPREAD).interval is None
    told = score_screen(failed, whole, SCREENED, SPREAD)
    assert told.figures["failed"] == [{"base_policy": 0, "draw": "2", "code": "non_finite"}]
    assert (told.draws, "means" in told.figures) == (2, False)


def test_a_metric_that_was_not_measured_everywhere_has_no_mean() -> None:
    loss = trained([1.0, 1.2, 1.1], SCREENED, reward=2.0)
    metrics = {**loss.metrics, SCREENED[0]: {"J": 1.0, "kl": 0.5, "reward": None}}
    assert set(score_screen(replace(loss, metrics=metrics), None, SCREENED, SPREAD).figures["means"]) == {"J", "kl"}


def test_a_confirmation_is_told_against_both_references_once_all_three_are_done() -> None:
    loss = trained([1.0, 1.1, 1.2] * 3, CONFIRMED)
    dpo, best = trained([0.5, 0.7, 0.6] * 3, CONFIRMED), trained([1.0, 1.2, 1.1] * 3, CONFIRMED)
    references = {"dpo": [dpo], "simpo": [best]}
    score = score_confirmation(loss, references, CONFIRMED, finalists=2)
    expected = compare({at: loss.values[at] - dpo.values[at] for at in CONFIRMED}, 2)
    assert (score.interval, score.verdict) == (expected.interval, "better than")
    assert score.figures["against"]["dpo"]["level"] == 0.975
    assert score.figures["against"]["simpo"]["verdict"] == "not distinguishable from"
    assert set(score.figures["against"]["dpo"]["effects"]) == {"0", "1", "2"}
    for missing in (loss, dpo, best):
        cut = {name: replace(each, metrics=dict(list(each.metrics.items())[:-1])) for name, each in (("cut", missing),)}
        parts = [cut["cut"] if each is missing else each for each in (loss, dpo, best)]
        early = score_confirmation(parts[0], {"dpo": [parts[1]], "simpo": [parts[2]]}, CONFIRMED, finalists=2)
        assert (early.interval, early.verdict) == (None, None)
        assert not {"means", "against"} & early.figures.keys()


def test_where_the_other_reference_failed_the_verdict_on_dpo_stands() -> None:
    loss, dpo = trained([1.0, 1.1, 1.2] * 3, CONFIRMED), trained([0.5, 0.7, 0.6] * 3, CONFIRMED)
    broken = Trained(SETTING, "J", failures=dict.fromkeys(CONFIRMED, "non_finite"))
    score = score_confirmation(loss, {"dpo": [dpo], "simpo": [broken]}, CONFIRMED, finalists=1)
    assert score.verdict == "better than"
    assert set(score.figures["against"]) == {"dpo"}
    other = score_confirmation(loss, {"dpo": [broken], "simpo": [dpo]}, CONFIRMED, finalists=1)
    assert (other.verdict, other.interval) == (None, None)


def test_a_reference_is_told_by_its_means_alone() -> None:
    dpo = trained([0.5, 0.7, 0.6] * 3, CONFIRMED)
    other = replace(trained([0.6, 0.8, 0.7] * 3, CONFIRMED), setting=OTHER)
    score = score_reference([dpo, other], CONFIRMED)
    assert (score.setting, score.interval, score.verdict, score.draws) == (SETTING, None, None, 9)
    assert score.figures["means"]["J"]["mean"] == pytest.approx(0.6)
    (beside,) = score.figures["others"]
    assert (beside["setting"], beside["failed"]) == (OTHER.document(), [])
    assert beside["means"]["J"]["mean"] == pytest.approx(0.7)
    assert "others" not in score_reference([dpo], CONFIRMED).figures
    early = score_reference([dpo, replace(other, metrics=dict(list(other.metrics.items())[:-1]))], CONFIRMED)
    assert not {"means"} & (early.figures.keys() | early.figures["others"][0].keys())


def against_two(other: Trained) -> Score:
    """Of a loss that is .5 above DPO at the setting that its tuning chose."""
    loss, dpo = trained([1.0, 1.1, 1.2] * 3, CONFIRMED), trained([0.5, 0.7, 0.6] * 3, CONFIRMED)
    return score_confirmation(loss, {"dpo": [dpo, other]}, CONFIRMED, finalists=1)


def test_a_finalist_meets_dpo_at_both_settings_and_the_harder_one_counts() -> None:
    score = against_two(replace(trained([1.0, 1.2, 1.1] * 3, CONFIRMED), setting=OTHER))
    told = score.figures["against"]["dpo"]
    assert (score.verdict, told["verdict"], told["setting"]) == (*["not distinguishable from"] * 2, OTHER.document())
    assert score.interval is not None
    assert (score.interval.mean, told["difference"]) == pytest.approx((0, 0))
    (beside,) = told["others"]
    assert (beside["setting"], beside["verdict"]) == (SETTING.document(), "better than")
    assert beside["difference"] == pytest.approx(0.5)
    assert score.setting == SETTING


@pytest.mark.parametrize("code", ["diverged", ABANDONED])
def test_without_any_setting_of_dpos_there_is_no_verdict(code: str) -> None:
    """It might have been the harder one, and that it is missing is no merit of the finalist's."""
    hard = trained([1.0, 1.2, 1.1] * 3, CONFIRMED[:-1])
    score = against_two(replace(hard, setting=OTHER, failures={CONFIRMED[-1]: code}))
    assert (score.verdict, score.interval, score.figures["against"]) == (None, None, {})
    assert "means" in score.figures


def test_the_own_spread_is_of_those_that_differ_from_dpo() -> None:
    dpo = trained([0.5, 0.9, 0.7], SCREENED)
    library = [trained(values, SCREENED) for values in ([1.0, 1.2, 1.1], [0.4, 0.9, 0.9], [0.5, 0.9, 0.7])]
    own = find_own_spread(library, dpo, SCREENED)
    assert own is not None
    variances = [pool_variance(find_differences(each.values, dpo.values)) for each in library[:2]]
    assert own == (fit_spread(variances), find_usual_sd(variances))
    assert own == find_own_spread(library[:2], dpo, SCREENED)
    assert find_own_spread(library[1:], dpo, SCREENED) is None
    assert find_own_spread(library, trained([0.5, 0.9], SCREENED), SCREENED) is None


def test_what_is_said_at_the_end() -> None:
    interval = Interval(0.31234, 0.2, 0.4, 12)
    assert tell_discoveries([("a", interval), ("b", interval)], reference="dpo", arena="terse:mini", looked_at=24) == (
        "Confirmed: of 24 candidates that were looked at, better than dpo in terse:mini is a by 0.312 [0.2, 0.4],"
        " b by 0.312 [0.2, 0.4]."
    )
    assert tell_discoveries([], reference="dpo", arena="terse:mini", looked_at=24) == (
        "No confirmed discovery: of 24 candidates that were looked at, none was confirmed to be better than dpo in"
        " terse:mini."
    )
    told = tell_discoveries([], reference="dpo", arena="terse:mini", looked_at=2, unjudged=["a", "b"])
    assert told.endswith("Without a verdict, as a training of theirs or of dpo's ended without a number: a, b.")
    endings = {lack: tell_no_finalist(lack, reference="dpo", arena="terse:mini", looked_at=2) for lack in Lack}
    assert len(set(endings.values())) == 4
    assert all(each.startswith("No confirmed discovery: ") for each in endings.values())
    incomparable = {lack for lack, told in endings.items() if "nothing could be compared" in told}
    assert incomparable == {Lack.REFERENCE, Lack.REFERENCE_MEASURED}
