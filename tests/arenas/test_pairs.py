"""A draw's pairs carry the labels that the world's annotators give, and share with other draws what they should."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from discovery_service.domain.worlds import RECIPES, ArenaSize, World
from tests.arenas.conftest import LoadPolicy
from workers.arenas.cache import Tensors
from workers.arenas.causal import completion_log_probabilities
from workers.arenas.pairs import build_draw
from workers.arenas.texts import is_answer, score

RECIPE = replace(RECIPES[ArenaSize.MINI], pairs=2048, held_out_pairs=64, evaluation_texts=64)
SMALL = replace(RECIPE, pairs=64)
DRAW = Draw(Purpose.TUNE, "0")


@pytest.fixture
def build(mini_policy: LoadPolicy):
    def build_(world: World, draw: Draw = DRAW, recipe=RECIPE) -> Tensors:
        return build_draw(mini_policy(world.p_stop, 0), world, recipe, draw)

    return build_


def _gaps(made: Tensors) -> Tensor:
    """Of the reward, chosen less rejected."""
    return score(made["texts"][:, 0].long()) - score(made["texts"][:, 1].long())


def _lengths(made: Tensors) -> Tensor:
    return is_answer(made["texts"]).sum(-1).float()


def _agreement(made: Tensors) -> float:
    """How much oftener than not the better text was chosen, to what Bradley-Terry would give; 1 where it is that."""
    gaps = _gaps(made)
    return float(gaps.sign().sum() / (gaps.abs() / 2).tanh().sum())


def test_clean_labels_are_bradley_terry_on_the_reward(build) -> None:
    made = build(World(p_stop=0.2))
    gaps = _gaps(made)
    for size in (1.0, 2.0, 3.0):
        of_size = gaps[gaps.abs() == size]
        right = float((of_size > 0).double().mean())
        assert right == pytest.approx(float(torch.tensor(size).sigmoid()), abs=4 * 0.5 / len(of_size) ** 0.5)


def test_flipped_labels_say_so_much_less(build) -> None:
    assert _agreement(build(World(flip=0.3))) == pytest.approx(0.4, abs=0.1)


def test_half_the_rows_are_a_coin_and_say_who_labelled_them(build) -> None:
    made = build(World(sloppy=0.5))
    careful = {name: each[made["annotator"] == 0] for name, each in made.items() if len(each) == RECIPE.pairs}
    sloppy = {name: each[made["annotator"] == 1] for name, each in made.items() if len(each) == RECIPE.pairs}
    assert len(sloppy["texts"]) / RECIPE.pairs == pytest.approx(0.5, abs=0.04)
    assert _agreement(careful) == pytest.approx(1.0, abs=0.1)
    assert _agreement(sloppy) == pytest.approx(0.0, abs=0.1)


def test_an_annotator_who_turns_labels_round_says_the_opposite(build) -> None:
    made = build(World(sloppy=1.0, sloppy_flip=1.0))
    assert _agreement(made) == pytest.approx(-1.0, abs=0.1)


def test_a_bias_for_short_answers_shows_in_the_labels_and_not_in_the_reward(build) -> None:
    def shorter(made: Tensors) -> float:
        lengths = _lengths(made)
        return float((lengths[:, 0] < lengths[:, 1]).double().mean() - (lengths[:, 0] > lengths[:, 1]).double().mean())

    assert abs(shorter(build(World(p_stop=0.2)))) < 0.06
    assert shorter(build(World(p_stop=0.2, length_bias=-0.15))) > 0.2


def test_a_bias_for_fluency_prefers_what_the_reference_finds_likely(build) -> None:
    def likelier(made: Tensors) -> float:
        return float((made["reference"][:, 0] > made["reference"][:, 1]).double().mean())

    assert likelier(build(World())) == pytest.approx(0.5, abs=0.04)
    assert likelier(build(World(fluency_bias=0.7))) > 0.58


def test_fog_lies_where_answers_differ_in_fluency(build) -> None:
    made = build(World(fog=0.7))
    gap = (made["reference"][:, 0] - made["reference"][:, 1]).abs()
    near, far = ({"texts": made["texts"][each]} for each in (gap < gap.median(), gap >= gap.median()))
    assert _agreement(near) > _agreement(far) + 0.2
    assert _agreement(far) < 0.4


def test_the_reference_is_what_the_base_policy_itself_says(build, mini_policy: LoadPolicy) -> None:
    made = build(World(p_stop=0.2), recipe=SMALL)
    texts = made["texts"].long().flatten(0, 1)
    with torch.no_grad():
        logps = completion_log_probabilities(mini_policy(0.2, 0), texts, None, is_answer(texts))
    torch.testing.assert_close(made["reference"].flatten(), logps, atol=1e-4, rtol=1e-5)


def test_held_out_pairs_carry_what_all_annotators_together_prefer(build) -> None:
    made = build(World(sloppy=0.5), recipe=replace(RECIPE, pairs=64, held_out_pairs=2048))
    gaps = _gaps({"texts": made["held_out_texts"]})
    torch.testing.assert_close(made["held_out_preference"], 0.5 * gaps.sigmoid() + 0.25)


def test_of_the_same_draw_everything_is_the_same(build) -> None:
    first, second = build(World(sloppy=0.5), recipe=SMALL), build(World(sloppy=0.5), recipe=SMALL)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("other", [Draw(Purpose.SCREEN, "0"), Draw(Purpose.TUNE, "1")])
def test_another_draw_shares_nothing(build, other: Draw) -> None:
    first, second = build(World(), recipe=SMALL), build(World(), other, SMALL)
    assert not any(torch.equal(first[name], second[name]) for name in first if name != "annotator")


def test_a_repeat_has_the_same_pairs_and_is_measured_with_other_random_numbers(build) -> None:
    first, second = build(World(), recipe=SMALL), build(World(), replace(DRAW, repeat=1), SMALL)
    assert {name for name in first if not torch.equal(first[name], second[name])} == {"reference_rewards"}


def test_a_salt_changes_pairs_and_leaves_what_is_measured(build) -> None:
    first, second = build(World(), recipe=SMALL), build(World(), replace(DRAW, salt="s"), SMALL)
    assert {name for name in first if not torch.equal(first[name], second[name])} == {"texts", "reference"}


def test_excerpts_are_only_what_is_measured_on(build) -> None:
    first, second = build(World(p_stop=0.2), recipe=SMALL), build(World(p_stop=0.2, on_excerpts=True), recipe=SMALL)
    differing = {name for name in first if not torch.equal(first[name], second[name])}
    assert differing == {"prompts", "reference_rewards"}
    assert second.keys() - first.keys() == {"proxy"}
