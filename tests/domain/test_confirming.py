"""A confirmation says better only of what is, under every base policy and corrected for how many were looked at."""

import random
from collections.abc import Mapping

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery_service.domain.confirming import compare, compare_with_all, find_level, stratify
from discovery_service.domain.differences import Occasion
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting
from discovery_service.domain.verdicts import Verdict, read_verdict

GROUPS = st.lists(st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=6), min_size=1, max_size=4)


def _place(groups: list[list[float]]) -> dict[Occasion, float]:
    return {Occasion(policy, f"{n}"): value for policy, values in enumerate(groups) for n, value in enumerate(values)}


def _draw(effects: tuple[float, ...], sd: float, chance: random.Random, each: int = 4) -> Mapping[Occasion, float]:
    return _place([[chance.gauss(effect, sd) for _ in range(each)] for effect in effects])


@settings(deadline=None)
@given(GROUPS, st.integers(1, 3))
def test_the_interval_is_that_of_least_squares_with_a_mean_for_each_policy(
    groups: list[list[float]], finalists: int
) -> None:
    found = compare(_place(groups), finalists)
    design = np.concatenate([np.tile(np.eye(len(groups))[p], (len(values), 1)) for p, values in enumerate(groups)])
    fit = sm.OLS(np.concatenate([np.array(values) for values in groups]), design).fit()
    test = fit.t_test(np.full(len(groups), 1 / len(groups)))
    low, high = test.conf_int(alpha=0.05 / finalists)[0]
    assert found.interval.mean == pytest.approx(float(test.effect[0]), abs=1e-12)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), rel=1e-6, abs=1e-7)
    assert found.degrees == fit.df_resid
    assert found.level == pytest.approx(1 - 0.05 / finalists)
    assert found.interval.draws == sum(map(len, groups))


def test_a_loss_that_is_the_reference_is_not_distinguishable() -> None:
    found = compare(_place([[0.0] * 3] * 3), finalists=1)
    assert (found.verdict, found.sd) == (Verdict.NOT_DISTINGUISHABLE, 0)
    # Nor one that differs from it by the same everywhere: no noise at all is no measurement.
    assert compare(_place([[0.1] * 3] * 3), finalists=1).verdict is Verdict.NOT_DISTINGUISHABLE


def test_better_needs_the_same_sign_under_all_policies() -> None:
    near = [-0.01, 0.0, 0.01]
    with_one_against = [[x + 0.5 for x in near], [x + 0.5 for x in near], [x - 0.001 for x in near]]
    found = compare(_place(with_one_against), finalists=1)
    assert found.interval.low is not None
    assert found.interval.low > 0
    assert found.verdict is Verdict.NOT_DISTINGUISHABLE
    assert found.effects == pytest.approx({0: 0.5, 1: 0.5, 2: -0.001})
    with_all = [*with_one_against[:2], [x + 0.001 for x in near]]
    assert compare(_place(with_all), finalists=1).verdict is Verdict.BETTER


def test_worse_is_what_lies_below_by_the_interval_alone() -> None:
    near = [-0.01, 0.0, 0.01]
    groups = [[x - 0.5 for x in near], [x - 0.5 for x in near], [x + 0.001 for x in near]]
    assert compare(_place(groups), finalists=1).verdict is Verdict.WORSE


@given(GROUPS, st.integers(1, 3))
def test_the_more_finalists_the_less_is_said_of_each(groups: list[list[float]], finalists: int) -> None:
    few, many = (compare(_place(groups), number).verdict for number in (finalists, finalists + 1))
    assert many in (few, Verdict.NOT_DISTINGUISHABLE)


@given(GROUPS)
def test_the_reference_seen_from_the_loss_never_wins_with_it(groups: list[list[float]]) -> None:
    forth = compare(_place(groups), finalists=1).verdict
    back = compare(_place([[-x for x in values] for values in groups]), finalists=1).verdict
    if forth is Verdict.BETTER:
        assert back is Verdict.WORSE
    if forth is Verdict.NOT_DISTINGUISHABLE:
        assert back is not Verdict.BETTER


def test_of_losses_that_are_no_better_no_more_are_called_so_than_the_level_allows() -> None:
    chance = random.Random(2)
    verdicts = [compare(_draw((0.0, 0.0, 0.0), 0.2, chance), finalists=1).verdict for _ in range(4000)]
    # The same sign under all policies takes a little off the nominal 2.5 %, and nothing off "worse than".
    assert 0.01 < verdicts.count(Verdict.BETTER) / 4000 < 0.032
    assert verdicts.count(Verdict.WORSE) / 4000 == pytest.approx(0.025, abs=0.01)


def test_it_covers_the_mean_of_policies_whose_effects_differ() -> None:
    chance, covered = random.Random(3), 0
    for _ in range(4000):
        interval = compare(_draw((0.1, 0.2, 0.6), 0.2, chance), finalists=1).interval
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 0.3 <= interval.high
    assert covered / 4000 == pytest.approx(0.95, abs=0.014)


def test_there_is_a_finalist_to_confirm() -> None:
    with pytest.raises(ValueError, match="at least one finalist"):
        find_level(0)


def test_a_verdict_is_words_that_go_before_a_name() -> None:
    assert [f"{each} DPO" for each in Verdict] == ["better than DPO", "worse than DPO", "not distinguishable from DPO"]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.3, Verdict.BETTER),
        (-0.3, -0.1, Verdict.WORSE),
        (-0.1, 0.3, Verdict.NOT_DISTINGUISHABLE),
        (0.0, 0.3, Verdict.NOT_DISTINGUISHABLE),
        (-0.3, 0.0, Verdict.NOT_DISTINGUISHABLE),
        (0.2, 0.2, Verdict.NOT_DISTINGUISHABLE),
        (None, None, Verdict.NOT_DISTINGUISHABLE),
    ],
)
def test_an_interval_that_touches_zero_or_has_no_width_decides_nothing(
    low: float | None, high: float | None, verdict: Verdict
) -> None:
    assert read_verdict(Interval(0.2, low, high, 9), [0.2, 0.2, 0.2]) is verdict


def test_that_base_policies_differ_widens_no_interval() -> None:
    near = [[0.9, 1.0, 1.1], [0.9, 1.0, 1.1], [0.9, 1.0, 1.1]]
    apart = [[value + 5 * policy for value in values] for policy, values in enumerate(near)]
    here, there = stratify(_place(near)), stratify(_place(apart))
    assert here.low is not None
    assert there.low is not None
    assert there.mean == pytest.approx(here.mean + 5)
    assert there.mean - there.low == pytest.approx(here.mean - here.low)
    assert there.mean - there.low == pytest.approx(0.1 * 2.4469 / 3, rel=1e-4)


CHOSEN, OTHER = Setting(0.5, 1.5e-3, 120), Setting(1.0, 1.5e-3, 120)
NEAR = [-0.02, 0.0, 0.02]


def _around(*effects: float) -> dict[Occasion, float]:
    return _place([[effect + x for x in NEAR] for effect in effects])


def test_better_than_one_setting_of_the_reference_and_not_than_the_other_is_not_distinguishable() -> None:
    """A copy of DPO whose tuning chose the better setting, where DPO's own chose the worse one."""
    copy = {CHOSEN: _around(0.1, 0.1, 0.1), OTHER: _around(0.004, -0.003, 0.001)}
    for differences in (copy, dict(reversed(copy.items()))):
        found = compare_with_all(differences, finalists=3)
        assert found.comparisons[CHOSEN].verdict is Verdict.BETTER
        assert (found.verdict, found.hardest) == (Verdict.NOT_DISTINGUISHABLE, OTHER)
        assert found.counting == compare(copy[OTHER], finalists=3)
        assert found.others == {CHOSEN: compare(copy[CHOSEN], finalists=3)}


def test_better_than_both_is_better_and_the_hardest_is_shown() -> None:
    found = compare_with_all({CHOSEN: _around(0.5, 0.5, 0.5), OTHER: _around(0.3, 0.2, 0.4)}, finalists=1)
    assert (found.verdict, found.hardest) == (Verdict.BETTER, OTHER)
    assert found.counting.interval.mean == pytest.approx(0.3)
    alone = compare_with_all({CHOSEN: _around(0.5, 0.5, 0.5)}, finalists=1)
    assert (alone.verdict, alone.hardest, alone.others) == (Verdict.BETTER, CHOSEN, {})


def test_the_same_sign_under_all_policies_is_asked_for_against_each_setting() -> None:
    """The one with the lower bound nearer to zero has it, the other one has not."""
    found = compare_with_all({CHOSEN: _around(1.0, 1.0, -0.001), OTHER: _around(0.1, 0.1, 0.1)}, finalists=1)
    assert found.hardest == OTHER
    assert found.counting.verdict is Verdict.BETTER
    assert found.verdict is Verdict.NOT_DISTINGUISHABLE


def test_worse_is_against_the_hardest_alone() -> None:
    found = compare_with_all({CHOSEN: _around(0.1, 0.1, 0.1), OTHER: _around(-0.1, -0.1, -0.1)}, finalists=1)
    assert (found.verdict, found.hardest) == (Verdict.WORSE, OTHER)


def test_the_reference_itself_is_not_distinguishable_from_itself_however_much_harder_its_other_setting_is() -> None:
    found = compare_with_all({CHOSEN: _place([[0.0] * 3] * 3), OTHER: _around(-0.5, -0.5, -0.5)}, finalists=1)
    assert (found.verdict, found.hardest) == (Verdict.NOT_DISTINGUISHABLE, CHOSEN)


def test_where_neither_setting_is_the_better_one_a_copy_is_seldom_called_better() -> None:
    """Nominal is 2.5 % against one setting; against two that are trained apart it is less."""
    chance = random.Random(0)
    both = [{setting: _draw((0.0, 0.0, 0.0), 0.2, chance) for setting in (CHOSEN, OTHER)} for _ in range(2000)]
    found = [compare_with_all(each, finalists=1).verdict for each in both]
    assert found.count(Verdict.BETTER) / 2000 <= 0.025
