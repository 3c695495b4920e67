"""What a candidate lacks depends on what was measured, and on neither the order nor on what is under way."""

import random

import pytest

from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.stages import SEARCH_POLICY, Course, Wanted, follow_course, list_missing
from discovery_service.domain.states import Purpose
from tests.domain.tuned import MINI


def value_of(wanted: Wanted) -> float:
    noise = random.Random(repr(wanted)).gauss(0, 0.05)
    return noise - abs(wanted.setting.beta - 2) - 100 * abs(wanted.setting.learning_rate - 1.5e-3)


def follow(measured: dict[Wanted, float | None], *, goes_on: bool = True, screen_draws: int = 3) -> Course:
    return follow_course(MINI, measured, uses_beta=True, goes_on=goes_on, screen_draws=screen_draws)


def play(chance: random.Random, *, goes_on: bool = True, screen_draws: int = 3) -> dict[Wanted, float | None]:
    """With several under way that finish in any order; whatever is needed is asked for as soon as that is known."""
    measured: dict[Wanted, float | None] = {}
    under_way: list[Wanted] = []
    while True:
        course = follow(measured, goes_on=goes_on, screen_draws=screen_draws)
        under_way += list_missing(course.needed, under_way)
        if not under_way:
            return measured
        done = under_way.pop(chance.randrange(len(under_way)))
        assert done not in measured
        measured[done] = value_of(done)


@pytest.mark.parametrize("seed", range(20))
def test_in_whatever_order_trainings_end_the_same_ones_are_done(seed: int) -> None:
    measured = play(random.Random(seed))
    assert measured == play(random.Random(seed + 1))
    counts = [sum(each.draw.purpose is purpose for each in measured) for purpose in (Purpose.TUNE, Purpose.SCREEN)]
    assert counts == [11, 3]
    assert {each.base_policy for each in measured} == {SEARCH_POLICY}


def test_the_screen_is_of_the_chosen_setting_and_complete_when_all_of_it_is_there() -> None:
    measured = play(random.Random(0))
    course = follow(measured)
    assert course.is_complete
    assert {each.setting for each in course.screen} == {course.tuning.chosen}
    assert [each.draw for each in course.screen] == [Draw(Purpose.SCREEN, str(number)) for number in range(3)]
    for last in course.screen:
        without = {wanted: value for wanted, value in measured.items() if wanted != last}
        assert follow(without).needed == (last,)
        assert not follow(without).is_complete


def test_whom_the_halving_stops_costs_seven_and_has_no_screen() -> None:
    measured = play(random.Random(0), goes_on=False)
    assert len(measured) == 7
    assert follow(measured, goes_on=False).screen == ()


def test_a_held_out_arena_has_no_screen() -> None:
    measured = play(random.Random(0), screen_draws=0)
    assert len(measured) == 11
    assert follow(measured, screen_draws=0).is_complete


def test_a_loss_that_comes_with_its_settings_is_screened_at_the_first_and_not_tuned() -> None:
    settings = (Setting(1.0, 1.5e-3, 120), Setting(2.0, 1.5e-3, 120))
    course = follow_course(MINI, {}, uses_beta=True, goes_on=True, screen_draws=3, shipped=settings)
    assert [each.setting for each in course.needed] == [settings[0]] * 3
    assert {each.draw.purpose for each in course.needed} == {Purpose.SCREEN}
    measured = dict.fromkeys(course.needed, 0.5)
    ended = follow_course(MINI, measured, uses_beta=True, goes_on=True, screen_draws=3, shipped=settings)
    assert ended.is_complete
    assert ended.tuning.settings == settings
    # What another campaign has measured of its tuning changes nothing.
    beside = {Wanted(settings[1], 0, Draw(Purpose.TUNE, "0")): 9.0}
    assert follow_course(MINI, beside, uses_beta=True, goes_on=True, screen_draws=3, shipped=settings) == course


def test_where_every_training_failed_nothing_is_screened_and_nothing_is_missing() -> None:
    measured = dict.fromkeys(play(random.Random(0)), 0.0)
    failed: dict[Wanted, float | None] = {}
    while needed := follow(failed).needed:
        failed |= dict.fromkeys(needed)
    course = follow(failed)
    assert (len(failed), course.is_complete, course.tuning.chosen) == (11, True, None)
    assert len(measured) > len(failed)


def test_draws_of_other_purposes_policies_and_salts_are_not_looked_at() -> None:
    start = Setting(1.0, 1.5e-3, 120)
    others: dict[Wanted, float | None] = {
        Wanted(start, 1, Draw(Purpose.TUNE, "0")): 9.0,
        Wanted(start, 0, Draw(Purpose.CALIBRATE, "0")): 9.0,
        Wanted(start, 0, Draw(Purpose.TUNE, "0", salt="another")): 9.0,
        Wanted(start, 0, Draw(Purpose.CONFIRM, "0")): 9.0,
    }
    assert follow(others).needed == follow({}).needed
