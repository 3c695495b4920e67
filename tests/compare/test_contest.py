"""What is compared is clear before anything is judged or trained."""

import pytest

from discovery_service.domain.arenas import find_document
from discovery_service.domain.power import find_detectable
from discovery_service.errors import UsageError
from tests.compare.slots import contest, measured, place, scripted
from workers.compare.contest import find_place, name_losses
from workers.compare.estimate import estimate

PLAIN = find_document("plain:mini") or {}


def test_losses_go_by_short_names_where_those_tell_them_apart() -> None:
    assert name_losses(["slic", "a/mine.py", "-"], "dpo") == {
        "dpo": "dpo",
        "slic": "slic",
        "a/mine.py": "mine.py",
        "-": "standard input",
    }
    assert name_losses(["a/mine.py", "b/mine.py", "./dpo"], "dpo") == {
        "dpo": "dpo",
        "a/mine.py": "a/mine.py",
        "b/mine.py": "b/mine.py",
        "./dpo": "./dpo",
    }


def test_the_reference_may_be_named_among_the_losses_and_comes_first() -> None:
    assert list(name_losses(["slic", "dpo"], "dpo")) == ["dpo", "slic"]
    assert list(name_losses(["slic", "dpo"], "ipo")) == ["ipo", "slic", "dpo"]


@pytest.mark.parametrize(
    ("sources", "says"), [(["slic", "ipo", "slic"], "slic is named 2 times"), (["dpo"], "nothing to compare with dpo")]
)
def test_what_cannot_be_meant_is_refused(sources: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        name_losses(sources, "dpo")


@pytest.mark.parametrize(("policies", "draws"), [(1, 12), (2, 12), (3, 12), (4, 12), (5, 15), (8, 16)])
def test_unless_told_otherwise_draws_spread_evenly_and_are_twelve_at_least(policies: int, draws: int) -> None:
    assert find_place(PLAIN, range(policies), None, 0).draws == draws


@pytest.mark.parametrize("draws", [3, 10])
def test_draws_that_do_not_spread_evenly_are_refused(draws: int) -> None:
    with pytest.raises(UsageError, match=f"--confirm {draws} draws: must be a multiple of 3, and 6 at least"):
        find_place(PLAIN, range(3), draws, 0)


def test_the_cost_is_told_where_it_is_published() -> None:
    slots, _ = scripted(lambda _: measured(0.0))
    known = estimate(contest("ipo", "slic", where=find_place(PLAIN, range(3), 120, 0)), slots)
    assert known.startswith(
        "At most 513 trainings in plain:mini: of each loss 11 to tune it and 120 to confirm, and 120 more of dpo at"
        " another setting; about "
    )
    assert " minutes on 2 slots with a core each." in known
    unknown = estimate(contest("ipo", where=place()), slots)
    assert unknown.endswith(
        "At most 40 trainings in toy:mini: of each loss 11 to tune it and 6 to confirm, and 6 more of dpo at another"
        " setting. How long that takes is known once the first one is done."
    )


def test_what_so_few_draws_can_find_is_told_where_the_arena_is_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures are those of a campaign: two finalists over three base policies."""
    slots, _ = scripted(lambda _: measured(0.0))
    monkeypatch.setattr("workers.compare.estimate.find_calibration", lambda _: {"library": {"sd": 0.1}})
    told = [estimate(contest("ipo", "slic", where=find_place(PLAIN, range(3), draws, 0)), slots) for draws in (12, 48)]
    found = [find_detectable(sd=0.1, draws=draws, finalists=2, met=2) for draws in (12, 48)]
    assert found[1] < found[0] / 2
    for text, draws, difference in zip(told, (12, 48), found, strict=True):
        assert text.endswith(
            f" {draws} draws find a difference of {difference:.3f} in J with 80 % power, if these losses are as noisy"
            " as the library's and it is alike under all base policies."
        )
