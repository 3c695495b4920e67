from typing import Any

import pytest
from pydantic import ValidationError

from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.known_losses import KNOWN_LOSSES


def refusals(**spec: Any) -> dict[str, str]:
    """What the spec is refused for: the field's path and the sentence about it."""
    with pytest.raises(ValidationError) as caught:
        CampaignSpec.model_validate({"arena": "plain:mini"} | spec)
    return {".".join(str(part) for part in error["loc"]): error["msg"] for error in caught.value.errors()}


def test_an_arena_is_enough() -> None:
    spec = CampaignSpec.model_validate({"arena": "panel:base"})
    assert (spec.arena, spec.family, spec.library, spec.strategy.name) == ("panel:base", "pairwise", "all", "evolve")


def test_an_arena_without_a_size_is_the_small_one() -> None:
    spec = CampaignSpec.model_validate({"arena": "panel", "held_out_arenas": ["fog"]})
    assert (spec.arena, spec.held_out_arenas) == ("panel:mini", ["fog:mini"])


def test_a_spec_survives_its_way_through_json() -> None:
    spec = CampaignSpec.model_validate({"arena": "panel", "budgets": {"cost_usd": 5}, "seed": 2**53})
    assert CampaignSpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize("name", ["plain:huge", "moon:mini", "Support", "support@1", "a b", "", "../x"])
def test_what_names_no_arena_is_answered_with_the_built_in_ones(name: str) -> None:
    told = refusals(arena=name)
    assert "plain:mini" in told["arena"]
    assert "fluent:base" in told["arena"]


def test_an_unusable_held_out_arena_is_named_by_its_place() -> None:
    assert list(refusals(held_out_arenas=["fog", "fog:huge"])) == ["held_out_arenas.1"]


@pytest.mark.parametrize("name", ["support", "support.v2_en-gb", "support@0123456789ab"])
def test_a_name_that_an_operators_arena_may_have_is_left_to_the_database(name: str) -> None:
    assert CampaignSpec.model_validate({"arena": name}).arena == name


@pytest.mark.parametrize("held_out", [["plain"], ["plain:mini"], ["fog", "fog:mini"]])
def test_no_arena_is_named_twice(held_out: list[str]) -> None:
    assert "twice" in refusals(held_out_arenas=held_out)["held_out_arenas"]


def test_the_same_world_in_another_size_is_another_arena() -> None:
    assert CampaignSpec.model_validate({"arena": "plain", "held_out_arenas": ["plain:base"]}).held_out_arenas


@pytest.mark.parametrize("field", ["arena", "held_out_arenas"])
def test_an_arena_of_another_family_is_refused(field: str) -> None:
    value = "fog:mini" if field == "arena" else ["fog:mini"]
    assert "not of the family matching" in refusals(family="matching", **{field: value})[field]


@pytest.mark.parametrize(
    ("spec", "path", "offered"),
    [
        ({"budget": {}}, "budget", "budgets"),
        ({"budgets": {"dollars": 5}}, "budgets.dollars", "cost_usd"),
        ({"strategy": {"size": 4}}, "strategy.size", "round_size"),
    ],
)
def test_an_unknown_key_is_answered_with_those_there_are(spec: dict[str, Any], path: str, offered: str) -> None:
    assert offered in refusals(**spec)[path]


@pytest.mark.parametrize("budget", ["candidates", "evaluations", "tokens", "cost_usd", "device_seconds", "wall_time_s"])
def test_a_negative_budget_is_refused_by_name(budget: str) -> None:
    assert "greater than or equal to" in refusals(budgets={budget: -1})[f"budgets.{budget}"]


def test_a_campaign_without_candidates_is_none() -> None:
    assert list(refusals(budgets={"candidates": 0})) == ["budgets.candidates"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, "5", True])
def test_a_budget_is_a_finite_number_that_the_database_holds(value: object) -> None:
    assert list(refusals(budgets={"cost_usd": value})) == ["budgets.cost_usd"]


@pytest.mark.parametrize(
    "spec",
    [
        {"guidance": "a\x00b"},
        {"library": ["dpo", "i\x00po"]},
        {"proposers": [{"kind": "llm", "models": [{"model": "m\x00"}]}]},
    ],
)
def test_a_text_with_nul_is_refused_before_the_database_would(spec: dict[str, Any]) -> None:
    field, *_ = spec
    told = refusals(**spec)
    assert any(path.startswith(field) and "NUL" in message for path, message in told.items()), told


def test_an_unknown_loss_is_answered_with_those_of_the_family() -> None:
    told = refusals(library=["dpo", "gpo"])["library"]
    assert "gpo" in told
    assert all(name in told for name in KNOWN_LOSSES["pairwise"])


def test_a_loss_of_another_family_is_unknown() -> None:
    assert "kl_pg" in refusals(library=["dpo", "kl_pg"])["library"]


def test_a_library_without_dpo_has_nothing_to_compare_with() -> None:
    assert "dpo" in refusals(library=["ipo"])["library"]


def test_a_kind_of_proposer_is_given_once() -> None:
    assert "twice" in refusals(proposers=[{"kind": "symbolic"}, {"kind": "symbolic"}])["proposers"]
    assert "proposers" in refusals(proposers=[])


def test_a_type_is_never_guessed() -> None:
    assert list(refusals(seed=True)) == ["seed"]
    assert list(refusals(seed="1")) == ["seed"]
