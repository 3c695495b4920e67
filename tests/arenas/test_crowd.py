"""Tastes of a crowd differ around the gold reward, which is what all of them want on average."""

from dataclasses import replace

import pytest
import torch

from discovery_service.domain.arenas import ARENAS
from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from discovery_service.domain.worlds import CROWD_RECIPES, ArenaSize
from tests.arenas.conftest import LoadPolicy
from workers.arenas import pairs
from workers.arenas.cache import Tensors
from workers.arenas.pairs import build_draw
from workers.arenas.texts import score

RECIPE = replace(CROWD_RECIPES[ArenaSize.MINI], evaluation_texts=16)


def make(mini_policy: LoadPolicy, name: str) -> Tensors:
    return build_draw(mini_policy(0.2, 0), ARENAS[name].world, RECIPE, Draw(Purpose.TUNE, "0"))


@pytest.mark.parametrize(("name", "middle"), [("crowd", 0.0), ("crowd-skewed", -0.307)])
def test_tastes_have_the_same_mean_and_spread_and_differ_in_their_middle(name: str, middle: float) -> None:
    tastes = pairs._draw_tastes(ARENAS[name].world, 40_000, torch.Generator().manual_seed(1))
    assert tastes is not None
    assert float(tastes.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(tastes.std()) == pytest.approx(1.0, abs=0.03)
    assert float(tastes.median()) == pytest.approx(middle, abs=0.03)


def test_what_a_crowd_wants_on_average_is_the_reward(mini_policy: LoadPolicy) -> None:
    """Labels follow it far less where tastes differ."""
    agreements = {}
    for name in ("crowd", "crowd-skewed", "crowd-alike"):
        made = make(mini_policy, name)
        chosen, rejected = (score(made["held_out_texts"][:, side].long()) for side in (0, 1))
        torch.testing.assert_close(made["held_out_preference"], (chosen - rejected).sigmoid())
        chosen, rejected = (score(made["texts"][:, side].long()) for side in (0, 1))
        agreements[name] = float((chosen > rejected).sum() / (chosen != rejected).sum())
    assert agreements["crowd-alike"] > 0.8
    assert max(agreements["crowd"], agreements["crowd-skewed"]) < 0.7
    assert min(agreements["crowd"], agreements["crowd-skewed"]) > 0.52
