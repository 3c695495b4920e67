"""What a campaign would take, over HTTP and by the engine's own counts."""

from typing import Any

import httpx2
import pytest

from discovery_service.client import Client

SPEC: dict[str, Any] = {"arena": "panel:mini", "library": ["dpo", "ipo", "slic"]}


def plan(api: httpx2.Client, **spec: Any) -> dict[str, Any]:
    answer = api.post("/v1/campaigns:plan", json={"spec": SPEC | spec})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_plan_counts_as_the_engine_does(api: httpx2.Client, url: str, token: str) -> None:
    found = plan(api, held_out_arenas=["fog:mini"], budgets={"candidates": 12})
    assert (found["proposals"], found["rounds"], found["binds_first"]) == (12, 3, "candidates")
    counts = found["evaluations"]
    # A library of three, all screened; of each four the worse two stop after seven trainings.
    assert (counts["library"], counts["search"]) == (3 * 3, 3 * (2 * 14 + 2 * 7))
    here, there = found["confirmations"]
    # Three finalists, the best known loss, and DPO at two settings.
    assert counts["confirmation"] == 6 * here["draws"]
    # The references take the settings that ship with the calibration, there and in the library.
    assert counts["held_out"] == 3 * 11 + 6 * there["draws"]
    assert counts["total"] == sum(counts[name] for name in ("library", "search", "confirmation", "held_out"))
    assert (here["arena"], there["arena"], there["is_held_out"]) == ("panel:mini", "fog:mini", True)
    assert 0 < here["detectable"] <= here["detect"]
    assert found["core_seconds"] > counts["total"] * 0.5
    assert found["worst"] == found["typical"] == {"tokens": 0, "cost_usd": 0.0}
    with Client(url, token) as client:
        again = client.campaigns.plan(spec=SPEC | {"held_out_arenas": ["fog:mini"], "budgets": {"candidates": 12}})
    assert again.model_dump(mode="json") == found
    assert api.get("/v1/campaigns").json()["data"] == []


@pytest.mark.parametrize(
    ("budgets", "binds"),
    [
        ({"candidates": 500, "evaluations": 300}, "evaluations"),
        ({"candidates": 500, "device_seconds": 400.0}, "device_seconds"),
        ({"candidates": 10**9}, "candidates"),
    ],
)
def test_the_budget_that_ends_the_search_is_named(api: httpx2.Client, budgets: dict[str, Any], binds: str) -> None:
    found = plan(api, budgets=budgets)
    assert found["binds_first"] == binds
    if binds == "evaluations":
        assert 300 - 14 < found["evaluations"]["total"] <= 300


def test_not_even_the_library(api: httpx2.Client) -> None:
    found = plan(api, budgets={"evaluations": 40})
    assert (found["proposals"], found["binds_first"], found["evaluations"]["total"]) == (0, None, 0)
    assert found["notes"][0].startswith("Not even the library can be measured: it takes 9 evaluations and the end ")
    assert found["confirmations"] == []


def test_calls_are_told_as_they_come_and_as_they_are_reserved(api: httpx2.Client) -> None:
    models = [{"kind": "llm", "models": [{"model": "any"}]}]
    found = plan(api, proposers=models, budgets={"candidates": 10})
    usual, worst = found["typical"], found["worst"]
    assert (usual["cost_usd"], worst["cost_usd"]) == (None, None)
    assert 10 * 1000 < usual["tokens"] < 10 * 16_000
    # At least three replies as long as they may be.
    assert worst["tokens"] > 10 * 3 * 8192
    mixed = plan(api, proposers=[*models, {"kind": "symbolic", "share": 3.0}], budgets={"candidates": 10})
    assert mixed["typical"]["tokens"] == pytest.approx(usual["tokens"] / 4, rel=0.01)
    bound = plan(api, proposers=models, budgets={"candidates": 10_000, "tokens": 20 * usual["tokens"] // 10})
    # The last ones have to fit at their worst.
    assert bound["binds_first"] == "tokens"
    assert 15 <= bound["proposals"] < 20


def test_a_budget_in_dollars_that_nobody_can_hold_is_told_before_the_campaign_pauses_for_it(api: httpx2.Client) -> None:
    models = [{"kind": "llm", "models": [{"model": "any"}]}]
    told = plan(api, proposers=models, budgets={"cost_usd": 5.0})["notes"][0]
    assert told.startswith("The campaign would pause at once: a budget in dollars cannot be held without the price of")
    assert not any("pause" in note for note in plan(api, proposers=models)["notes"])


def test_a_bad_spec_is_told_by_its_fields(api: httpx2.Client) -> None:
    answer = api.post("/v1/campaigns:plan", json={"spec": {"arena": "moon"}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.spec.arena"
