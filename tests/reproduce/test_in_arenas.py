"""What a campaign has screened becomes claims: paired by draw, in the direction that is claimed."""

from itertools import chain

import pytest

from discovery_service.domain.arenas import ARENAS
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.domain.metrics import MEANINGS
from workers.reproduce.claims import Claims
from workers.reproduce.in_arenas import Effect, Study, conclude
from workers.reproduce.papers import PAPERS
from workers.reproduce.run import Screened

SCREENED: Screened = {
    "kl_rlhf": {"0": {"J": -0.5, "junk": 0.02}, "1": {"J": -0.7, "junk": 0.03}},
    "pm": {"0": {"J": -1.5, "junk": 0.70}, "1": {"J": -1.4, "junk": 0.75}},
    "conditional_pm": {"1": {"J": -0.1, "junk": 0.01}, "0": {"J": -0.1, "junk": 0.01}},
}


def test_a_loss_is_compared_with_the_reference_or_another_on_the_same_draws() -> None:
    study = Study(
        "plurality:mini",
        (
            Effect("higher", "conditional_pm", "J"),
            Effect("less junk", "conditional_pm", "junk", is_lower=True, than="pm"),
            Effect("higher, which it is not", "pm", "J"),
        ),
    )
    higher, less, not_higher = conclude(study, SCREENED, Claims("pm", is_quick=False))
    assert higher.interval.mean == pytest.approx((0.4 + 0.6) / 2)
    assert (higher.magnitude, higher.interval.draws) == (True, 2)
    assert less.interval.mean == pytest.approx((0.69 + 0.74) / 2)
    assert (not_higher.magnitude, not_higher.direction) == (False, False)
    assert "plurality:mini by a campaign" in higher.note


def test_draws_on_which_one_has_no_figure_are_left_out_and_told() -> None:
    moved: Screened = {
        "dpo": {str(draw): {"matched_violations": 0.5} for draw in range(3)},
        "upo_dpo": {"0": {"matched_violations": None}, **{str(draw): {"matched_violations": 0.4} for draw in (1, 2)}},
    }
    effects = (Effect("fewer", "upo_dpo", "matched_violations", is_lower=True),)
    (found,) = conclude(Study("guardrail:mini", effects), moved, Claims("upo", is_quick=False))
    assert (found.interval.mean, found.interval.draws) == (pytest.approx(0.1), 2)
    assert "on 1 of 3 draws one failed or did not come as far" in found.note
    nowhere = {**moved, "dpo": {str(draw): {"matched_violations": None} for draw in range(3)}}
    (found,) = conclude(Study("guardrail:mini", effects), nowhere, Claims("upo", is_quick=False))
    assert found.interval is None


def test_what_is_studied_is_there_to_be_measured() -> None:
    studies = list(chain.from_iterable(paper.studies for paper in PAPERS.values()))
    assert {ARENAS[each.arena.partition(":")[0]].family for each in studies} == set(KNOWN_LOSSES)
    for study in studies:
        known = KNOWN_LOSSES[ARENAS[study.arena.partition(":")[0]].family]
        assert set(study.losses) <= set(known)
        assert {each.metric for each in study.effects} <= MEANINGS.keys()
