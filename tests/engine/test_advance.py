"""Whole campaigns by nothing but their next steps, on the real database."""

import json
import random
from typing import Any

import pytest
from sqlalchemy import select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import CampaignProgress, Candidate
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import Budgets
from discovery_service.domain.states import CampaignStatus, CandidateStatus, ProposalStatus, Purpose, RoundStatus
from discovery_service.engine.campaigns import edit_campaign
from tests.engine.playing import LIBRARY, table
from tests.engine.searching import OTHERS, Search, in_turn, say

MERITS = {OTHERS[2]: 0.5, OTHERS[5]: 0.2, OTHERS[0]: -0.3}
FEW = {"candidates": 6}


def progress(search: Search) -> CampaignProgress:
    with search.sessions() as session:
        return session.get_one(CampaignProgress, search.campaign_id)


def test_a_campaign_runs_by_itself_to_a_confirmed_discovery(sessions: Sessions) -> None:
    search = Search(sessions, table(MERITS), in_turn(), budgets=FEW)
    search.search()
    campaign = search.get_campaign()
    assert campaign.status is CampaignStatus.COMPLETED, campaign.status_reason
    assert (campaign.status_reason or "").startswith("Confirmed: of 6 candidates that were looked at, better than dpo")
    assert [each.status for each in search.list_rounds()] == [RoundStatus.CLOSED] * 4
    # Two rounds overlap: the second sees what the first one has seen.
    assert [each.snapshot_rounds for each in search.list_rounds()] == [[], [0], [0], [0, 1]]
    assert [each["reason"] for each in search.told("search.over")] == [
        "The budget has no room for another proposal: candidates are used up, with 6 of 6."
    ]
    # Events say whom they are about.
    names = {name for *_, name, _ in search.list_candidates()}
    for kind in ("candidate.accepted", "evaluation.succeeded"):
        assert {each["name"] for each in search.told(kind)} == names
    halved = [name for each in search.told("round.halved") for name in each["names"]]
    assert len(halved) == sum(len(each["stopped"]) for each in search.told("round.halved")) > 0
    assert set(halved) < names
    found = progress(search)
    assert (found.rounds_closed, found.candidates) == (4, 6)
    assert search.counts(Purpose.TUNE)["dpo"] == 11


def test_neither_slots_nor_order_nor_lost_steps_nor_killed_workers_change_what_a_campaign_does(
    sessions: Sessions,
) -> None:
    def run(**how: Any) -> tuple[object, ...]:
        search = Search(sessions, table(MERITS), in_turn(), library=["dpo"], budgets={"candidates": 4}, seed=5)
        search.search(**how)
        rounds = [(each.number, each.snapshot_rounds, each.stopped_slots) for each in search.list_rounds()]
        requests = [(number, each.slot, each.request, each.outcome) for number, each in search.list_proposals()]
        standings = {
            (stage, name): (each.setting, each.lower, each.upper, each.verdict)
            for stage in (Purpose.SCREEN, Purpose.CONFIRM)
            for name, each in search.standings(stage).items()
        }
        assert search.get_campaign().status is CampaignStatus.COMPLETED
        if how.get("killed"):
            assert search.told("evaluation.crashed")
        # Confirm draws are keyed by what was frozen, which is the same too.
        return rounds, requests, search.list_candidates(), search.keys(), standings, search.get_campaign().status_reason

    undisturbed = run(slots=1)
    assert run() == undisturbed
    for seed, slots in enumerate((2, 20)):
        assert run(chance=random.Random(seed), slots=slots, lost=0.3, killed=0.15) == undisturbed


def test_a_proposal_ends_with_what_its_author_thought(sessions: Sessions) -> None:
    search = Search(sessions, table({}), in_turn(), budgets={"candidates": 2})
    search.search()
    assert [(each.status, each.outcome) for _, each in search.list_proposals()] == [
        (ProposalStatus.ANSWERED, {"thought": f"I thought of {name}."}) for name in OTHERS[:2]
    ]


def test_a_refused_loss_goes_back_until_it_passes_or_two_corrections_are_spent(sessions: Sessions) -> None:
    def replies(_: int, slot: int, turn: int) -> str | None:
        if slot == 0:
            return say(OTHERS[0] if turn == 1 else "nonsense")
        return "I would rather not."

    search = Search(sessions, table({}), replies, budgets={"candidates": 2})
    search.search()
    proposals = [each for _, each in search.list_proposals()]
    assert [each.status for each in proposals] == [ProposalStatus.ANSWERED, ProposalStatus.UNPARSABLE]
    assert [len(search.list_exchanges(each.id)) for each in proposals] == [2, 3]
    assert proposals[1].outcome is not None
    assert proposals[1].outcome["code"] == "no_code"
    assert search.list_candidates()[len(LIBRARY) :] == [
        (1, 0, 0, "nonsense", CandidateStatus.REJECTED),
        (1, 0, 1, OTHERS[0], CandidateStatus.ACCEPTED),
    ]


def test_a_model_is_told_why_and_asked_again_in_the_same_exchange(sessions: Sessions) -> None:
    def replies(_: int, slot: int, turn: int) -> str | None:
        return say(OTHERS[slot] if turn else "nonsense")

    models = [{"kind": "llm", "models": [{"model": "any"}]}]
    search = Search(
        sessions, table({}), replies, arena="panel:mini", library=["dpo"], budgets={"candidates": 1}, proposers=models
    )
    search.search()
    [(_, proposal)] = search.list_proposals()
    first, second = search.list_exchanges(proposal.id)
    assert [first.model, second.model] == ["any", "any"]
    assert second.messages[: len(first.messages)] == first.messages
    assert [each["role"] for each in second.messages[len(first.messages) :]] == ["assistant", "user"]
    assert "There is no such name." in second.messages[-1]["content"]
    assert "2 corrections are left" in second.messages[-1]["content"]
    assert (second.reserved_tokens or 0) > (first.reserved_tokens or 0) > 8192


@pytest.mark.parametrize("text", ["a\0", "\ud800", "a\n\n# The task\n\nb"])
def test_whatever_a_reply_spells_its_campaign_goes_on(sessions: Sessions, text: str) -> None:
    """JSON may spell what PostgreSQL stores neither as text nor as JSON."""
    proposal = {"thought": text, "name": text, "code": f"def f(beta, a):\n    return beta  # {text}\n"}
    shapes = [{**proposal, "values": {text: 1, "a": 2.0}}, {**proposal, "params": [{"name": text, "value": 1}]}]
    search = Search(sessions, table({}), lambda _, slot, __: json.dumps(shapes[slot]), budgets={"candidates": 2})
    search.search()
    campaign = search.get_campaign()
    assert campaign.status is CampaignStatus.COMPLETED, campaign.status_reason
    proposed = search.list_candidates()[len(LIBRARY) :]
    assert {each[-1] for each in proposed} == {CandidateStatus.REJECTED}
    assert {len(each[3].splitlines()) for each in proposed} == {1}
    with sessions() as session:
        values = session.scalars(select(Candidate.values).where(Candidate.author == Author.SYMBOLIC))
        assert all(each in ({"a": 2.0}, {}) for each in values)


def test_who_is_not_answered_costs_a_place_and_holds_up_nobody(sessions: Sessions) -> None:
    search = Search(sessions, table({}), lambda *_: None, budgets={"candidates": 4})
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert {each.status for _, each in search.list_proposals()} == {ProposalStatus.FAILED}
    assert len(search.list_proposals()) == 4


def test_of_twins_judged_beside_each_other_the_later_slot_is_refused(sessions: Sessions) -> None:
    """In the same round, and in the next one, which does not see it."""
    names = [OTHERS[0], OTHERS[0], OTHERS[1], OTHERS[0]]
    for seed in range(2):
        search = Search(sessions, table({}), in_turn(names), library=["dpo"], budgets={"candidates": 4})
        search.search(chance=random.Random(seed))
        proposed = search.list_candidates()[1:]
        accepted, rejected = CandidateStatus.ACCEPTED, CandidateStatus.REJECTED
        assert [each[-1] for each in proposed] == [accepted, rejected, accepted, rejected]
        told = search.told("candidate.rejected")
        facts = [(each["name"], each["code"], each["twin"]) for each in told]
        assert facts == [(OTHERS[0], "duplicate", OTHERS[0])] * 2
        assert all(each["message"].startswith(f"The loss behaves like {OTHERS[0]}") for each in told)
    assert search.list_differing() == []


@pytest.mark.parametrize("evaluations", [70, 95, 112])
def test_evaluations_are_never_exceeded_and_the_end_is_kept_back(sessions: Sessions, evaluations: int) -> None:
    budgets = {"candidates": 50, "evaluations": evaluations}
    search = Search(sessions, table(MERITS), in_turn(), library=["dpo"], budgets=budgets)
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert progress(search).evaluations <= evaluations
    # Whoever was screened first is confirmed, too.
    assert search.counts(Purpose.CONFIRM)


def test_a_budget_below_the_library_ends_the_campaign_with_the_reason(sessions: Sessions) -> None:
    search = Search(sessions, table({}), in_turn(), budgets={"evaluations": 40})
    search.search()
    campaign = search.get_campaign()
    assert campaign.status is CampaignStatus.COMPLETED
    assert (campaign.status_reason or "").startswith("Not even the library can be measured: evaluations are limited")
    assert search.list_rounds() == []


def test_a_target_that_is_reached_ends_the_search(sessions: Sessions) -> None:
    merits = {OTHERS[1]: 0.8}
    search = Search(sessions, table(merits), in_turn(), budgets={"candidates": 20, "target": 0.3})
    search.search()
    assert search.told("search.over")[0]["reason"].startswith("The target is reached")
    # The third round is the first that sees the one in which it was.
    assert len(search.list_rounds()) == 3


def test_patience_ends_the_search_after_rounds_without_a_better_one(sessions: Sessions) -> None:
    merits = {OTHERS[0]: 0.3, OTHERS[1]: 0.2, OTHERS[2]: 0.1}
    spec = {"strategy": {"round_size": 1, "max_open_rounds": 1}, "budgets": {"candidates": 20, "patience": 2}}
    search = Search(sessions, table(merits), in_turn(round_size=1), library=["dpo"], **spec)
    search.search()
    # The first one is better than nothing, and the second and third are not better than it.
    assert [each["reason"] for each in search.told("search.over")] == [
        "Patience has ended: 2 closed rounds in a row without a better lower bound."
    ]
    assert len(search.list_rounds()) == 4
    assert search.get_campaign().status is CampaignStatus.COMPLETED


def test_a_budget_in_dollars_needs_prices(sessions: Sessions) -> None:
    models = [{"kind": "llm", "models": [{"model": "nobody-knows"}]}]
    search = Search(sessions, table({}), in_turn(), budgets={"cost_usd": 1.0}, proposers=models)
    search.search()
    campaign = search.get_campaign()
    assert campaign.status is CampaignStatus.PAUSED
    assert "without the price of nobody-knows" in (campaign.status_reason or "")


def test_a_budget_in_dollars_that_comes_later_needs_prices_too(sessions: Sessions) -> None:
    models = [{"kind": "llm", "models": [{"model": "nobody-knows"}]}]
    search = Search(sessions, table({}), in_turn(), budgets={"candidates": 6}, proposers=models)
    search.step()
    assert search.get_campaign().status is CampaignStatus.RUNNING
    with sessions.begin() as session:
        edits = {"name": None, "notes": None, "guidance": None, "budgets": Budgets(cost_usd=1.0)}
        edit_campaign(session, search.campaign_id, **edits)  # type: ignore[arg-type]
    search.step()
    assert "without the price of nobody-knows" in (search.get_campaign().status_reason or "")


def test_nothing_is_proposed_where_dpo_did_not_come_through(sessions: Sessions) -> None:
    search = Search(sessions, table({}, failing=["dpo"]), in_turn(), budgets={"candidates": 20})
    search.search()
    assert [each.number for each in search.list_rounds()] == [0]
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert "dpo did not come through" in (search.get_campaign().status_reason or "")
    assert search.list_differing() == []
