"""What was attained is said of a measurement when it is read, by what is published then."""

from dataclasses import replace

import pytest

from discovery_service.domain import published
from discovery_service.domain.arenas import ARENAS, find_document, hash_document
from discovery_service.domain.published import Figures, add_attained, find_figures
from discovery_service.domain.worlds import ArenaSize

MEASURED = {"J": 0.5, "kl": 1.0}
PLAIN = find_document("plain:mini") or {}


def test_attained_is_the_share_between_reference_and_optimum() -> None:
    figures = find_figures(hash_document(PLAIN), 1)
    assert figures is not None
    share = (0.5 - figures.j_ref) / (figures.j_best - figures.j_ref)
    assert add_attained(MEASURED, PLAIN, 1) == {**MEASURED, "attained": pytest.approx(share)}


def test_it_follows_the_figures_whatever_was_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = Figures(policy_sha256="0", j_ref=0.0, j_ref_se=0.02, j_best=2.0, j_best_se=0.02)
    monkeypatch.setattr(published, "find_figures", lambda *_: figures)
    assert add_attained({**MEASURED, "attained": 0.9}, PLAIN, 0)["attained"] == 0.25


def test_nothing_is_attained_where_the_optimum_was_not_measured() -> None:
    other = replace(ARENAS["plain"], world=replace(ARENAS["plain"].world, sharpness=2.0)).document(ArenaSize.MINI)
    assert add_attained(MEASURED, other, 0)["attained"] is None
    assert add_attained(MEASURED, PLAIN, 7)["attained"] is None


def test_where_nobody_can_know_the_optimum_nothing_is_said() -> None:
    assert add_attained({"accuracy": 0.7}, {"kind": "hf"}, 0) == {"accuracy": 0.7}
