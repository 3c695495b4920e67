"""What DiscoPOP's claims come to on three draws, trained for a campaign and beside one, and what is only read."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.kept import Kept
from benchmarks.search import KEPT
from benchmarks.search_plan import SEEDS, Case, Part
from benchmarks.search_shipped import describe_feedback
from discovery_service.domain.campaign import StrategyName
from tests.reproduce.conftest import Quickly, Told, find
from workers.reproduce.claims import Claims
from workers.reproduce.discopop import standing
from workers.reproduce.discopop.frontiers import Frontiers
from workers.reproduce.discopop.stored import Search, feedback_path, list_differences, read_feedback
from workers.reproduce.names import PaperName
from workers.reproduce.training import WorldFailed

CLAIMS = Claims("discopop", is_quick=False)
# A local stack starts for them and trains: half a minute on an idle machine, which others may use as well.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def claims(quickly: Quickly) -> list[Told]:
    return quickly(PaperName.DISCOPOP)


def figures(kl: float, reward: float) -> dict[str, float | None]:
    return {"kl": kl, "reward": reward, "J": reward - kl}


def draw_frontiers(**losses: Sequence[tuple[float, float]]) -> Frontiers:
    """Of each loss its KL and reward at beta 1, 2 and so on, on two draws that are the same."""
    points = {
        (name, float(at)): [figures(*each)] * 2 for name, places in losses.items() for at, each in enumerate(places, 1)
    }
    return Frontiers(points)


def test_lrml_is_stuck_at_low_beta_and_pays_for_its_hump_elsewhere(claims: list[Told]) -> None:
    assert find(claims, "is stuck")["magnitude"]
    for words in ("is as high as DPO's", "At as much KL as it has there"):
        assert not find(claims, words)["magnitude"], find(claims, words)


def test_the_hump_is_the_passports_and_exact(claims: list[Told]) -> None:
    told = find(claims, "rises where")
    assert told["figure"] == pytest.approx(0.784, abs=0.001)
    assert told["interval"] == {"low": told["figure"], "high": told["figure"], "draws": 0}
    assert "-0.1186 to 0.0720" in told["note"]


def test_a_campaign_says_that_lrml_is_no_state_of_the_art(claims: list[Told]) -> None:
    told = find(claims, "LRML has a higher J than DPO, both tuned by the same plan")
    assert (told["direction"], told["magnitude"]) == (False, False)
    assert told["interval"]["draws"] == 3
    assert "plain:mini" in told["note"]


def test_a_frontier_grows_with_the_root_of_the_kl_between_two_betas_and_ends_where_it_ends() -> None:
    found = draw_frontiers(dpo=[(9.0, 4.0), (4.0, 2.0), (1.0, 0.0)])
    assert [found.find_reward("dpo", 0, kl) for kl in (6.25, 2.25, 16.0, 0.1)] == [3.0, 1.0, 4.0, 0.0]


def test_a_draw_has_no_say_in_what_is_chosen_for_it() -> None:
    points = {("a", 1.0): [figures(0, 9), figures(0, 0)], ("a", 2.0): [figures(0, 1), figures(0, 1)]}
    found = Frontiers(points)
    assert [found.choose(["a"], draw) for draw in (0, 1)] == [("a", 2.0), ("a", 1.0)]


def test_where_a_training_failed_no_figure_is_of_the_others_alone() -> None:
    found = Frontiers({("a", 1.0): [figures(0, 1), None], ("a", 2.0): [figures(0, 1), figures(0, 1)]})
    assert (found.list_betas("a"), found.count_failed("a", 1.0)) == ([2.0], 1)
    with pytest.raises(WorldFailed, match="a at beta 1"):
        found.read("a", 1.0, "J")


def test_what_ships_of_searches_is_what_the_benchmark_has_kept() -> None:
    shipped = json.loads(feedback_path().read_text(encoding="utf-8"))
    kept = json.loads(json.dumps(asdict(describe_feedback(Kept(KEPT)))))
    assert shipped == kept, "run python -m benchmarks.search --as-is --ship"


def test_searches_are_paired_by_their_seed(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept.jsonl")
    for strategy, seed, gain in (("evolve", 1, 0.3), ("blind", 1, 0.1), ("evolve", 2, 0.9), ("discopop", 2, 0.5)):
        case = Case(Part.STRATEGIES, "panel:mini", StrategyName(strategy), seed)
        kept.get(case.key, lambda gain=gain: {"pick": {"difference": gain}})
    found = describe_feedback(kept)
    assert (found.campaigns, found.gains) == (4, {"panel:mini": [pytest.approx(0.2)]})


def test_of_too_few_searches_nothing_is_told_but_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def conclude(**gains: Sequence[float]) -> list[Told]:
        monkeypatch.setattr(standing, "read_feedback", lambda: Search(20, 4, 160, gains))
        return [each.document() for each in standing.conclude_searches(CLAIMS)]

    (none,) = conclude(terse=[0.3])
    assert none["interval"] is None
    assert "4 of 160" in none["note"]
    assert SEEDS == standing.PLANNED_PAIRS
    (told,) = conclude(terse=[0.3] * (SEEDS - 1), panel=[0.1, 0.3] * (SEEDS // 2))
    assert (told["figure"], told["direction"]) == (pytest.approx(0.2), True)
    assert read_feedback().of == 160


def test_ranks_are_those_of_published_calibrations(claims: list[Told]) -> None:
    here, there = (list_differences(each) for each in ("terse:mini", "terse-strong:mini"))
    assert here["dpo"] == there["dpo"] == 0
    assert here["simpo"] != there["simpo"]
    told = [each for each in claims if "Kendall" in each["claim"]]
    assert len(told) == len(standing.RANKED)
    for each in told:
        assert each["interval"]["low"] < each["figure"] < each["interval"]["high"]
        assert each["figure_paper"].startswith("-.24")
    assert find(claims, "terse-strong")["interval"]["draws"] == len(here.keys() & there.keys())
