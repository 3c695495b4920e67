"""A campaign derived again from its rows, and whatever somebody changed in them found."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.columns import Base
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import (
    Campaign,
    Candidate,
    Evaluation,
    Exchange,
    Freeze,
    Measurement,
    Proposal,
    Round,
    Standing,
)
from discovery_service.domain.campaign import Budgets
from discovery_service.domain.states import CampaignStatus, Purpose
from discovery_service.engine.campaigns import edit_campaign, resume_campaign
from discovery_service.engine.evaluations import retry_evaluation
from discovery_service.engine.findings import What
from tests.engine.playing import table
from tests.engine.searching import OTHERS, Search, in_turn, say

MERITS = {OTHERS[2]: 0.5, OTHERS[5]: 0.2, OTHERS[0]: -0.3}
IN_WORDS = {"arena": "panel:mini", "proposers": [{"kind": "llm", "models": [{"model": "any"}]}]}
"""Prompts are written of an arena that there is."""


def once_refused(number: int, slot: int, turn: int) -> str | None:
    """By the gate, or as no loss at all, before it is a known one."""
    if slot == 0 and turn == 0:
        return say("nonsense") if number % 2 else "I would rather not."
    return in_turn()(number, slot, turn)


def list_stored(session: Session) -> dict[str, list[str]]:
    return {each.name: sorted(map(str, session.execute(select(each)).all())) for each in Base.metadata.sorted_tables}


@pytest.mark.parametrize(
    "spec", [{"held_out": ["elsewhere"]}, {"strategy": {"name": "discopop", "round_size": 2}, **IN_WORDS}]
)
def test_what_is_derived_again_is_what_is_stored_and_nothing_is_changed(
    sessions: Sessions, spec: dict[str, Any]
) -> None:
    search = Search(sessions, table(MERITS), once_refused, budgets={"candidates": 6}, **spec)
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    with sessions() as session:
        before = list_stored(session)
        found = search.replay(session)
        assert not session.dirty
        assert list_stored(session) == before
    assert [(each.what, each.where, each.list_leaves()) for each in found.differences] == []
    assert found.notes == []
    # The language model is not asked again.
    assert set(found.derived) == {*What} - ({What.REPLY} if "proposers" in spec else set())
    assert found.derived[What.PROMPT] > found.derived[What.REQUEST] == 6


def test_rounds_are_compared_with_the_guidance_and_the_budgets_that_they_had(sessions: Sessions) -> None:
    search = Search(sessions, table(MERITS), in_turn(), budgets={"candidates": 2}, guidance="be bold", **IN_WORDS)
    search.search(until=lambda: len(search.list_rounds()) == 2)
    with sessions.begin() as session:
        more = Budgets.model_validate({"candidates": 4})
        edit_campaign(session, search.campaign_id, name=None, notes="n", guidance="be careful", budgets=more)
    search.search()
    exchanges = [each for _, proposal in search.list_proposals() for each in search.list_exchanges(proposal.id)]
    told = [each.messages[1]["content"] for each in exchanges]
    assert ["be bold" in each for each in told] == [True, True, False, False]
    assert ["be careful" in each for each in told] == [False, False, True, True]
    with sessions() as session:
        assert search.replay(session).differences == []


def test_what_room_a_budget_in_tokens_left_is_not_derived_and_said_not_to_be(sessions: Sessions) -> None:
    one_call = {"candidates": 2, "tokens": 25_000}
    search = Search(sessions, table(MERITS), in_turn(), budgets=one_call, **IN_WORDS)
    search.search()
    # Else the first round would ask twice, and the second would see only the library.
    assert [each.snapshot_rounds for each in search.list_rounds()] == [[], [0], [0, 1]]
    with sessions() as session:
        found = search.replay(session)
    assert found.differences == []
    assert [note for note in found.notes if "tokens, dollars or time" in note]


def change_prompt(session: Session) -> None:
    first = session.scalars(select(Proposal).join(Round).where(Round.number == 1, Proposal.slot == 0)).one()
    exchange = session.scalars(select(Exchange).where(Exchange.proposal_id == first.id, Exchange.turn == 0)).one()
    system, user = exchange.messages
    exchange.messages = [system, user | {"content": user["content"].replace("dpo", "sft")}]


def change_request(session: Session) -> None:
    second = session.scalars(select(Proposal).join(Round).where(Round.number == 1, Proposal.slot == 1)).one()
    second.request = second.request | {"kind": "combine"}


def change_snapshot(session: Session) -> None:
    session.scalars(select(Round).where(Round.number == 2)).one().snapshot_rounds = [0, 1]


def change_source(session: Session) -> None:
    session.scalars(select(Candidate).where(Candidate.name == OTHERS[1])).one().source = "def other(beta): return beta"


def change_library(session: Session) -> None:
    session.scalars(select(Candidate).where(Candidate.name == "ipo")).one().source = "def other(beta): return beta"


def change_halving(session: Session) -> None:
    halved = session.scalars(select(Round).where(Round.number == 1)).one()
    halved.stopped_slots = [1 - halved.stopped_slots[0]] if halved.stopped_slots else None


def change_standing(session: Session) -> None:
    query = select(Standing).join(Candidate, Candidate.id == Standing.candidate_id)
    session.scalars(query.where(Candidate.name == "ipo", Standing.stage == "screen")).one().lower = 0.5


def change_measurement(session: Session) -> None:
    query = (
        select(Measurement)
        .join(Evaluation, Evaluation.measurement_id == Measurement.id)
        .join(Candidate, Candidate.id == Evaluation.candidate_id)
        .where(Candidate.name == "ipo", Evaluation.purpose == Purpose.SCREEN)
    )
    changed = session.scalars(query.order_by(Evaluation.draw).limit(1)).one()
    changed.metrics = changed.metrics | {"J": changed.metrics["J"] + 0.01}


def change_plan(session: Session) -> None:
    frozen = session.scalars(select(Freeze)).one()
    frozen.plan = frozen.plan | {"looked_at": 1}


def change_seed(session: Session) -> None:
    campaign = session.scalars(select(Campaign)).one()
    campaign.spec = campaign.spec | {"seed": 7}


CHANGES: Mapping[Callable[[Session], None], set[tuple[What, str]]] = {
    # A repair goes on from the prompt that is stored.
    change_prompt: {(What.PROMPT, "round 1, slot 0")},
    change_request: {(What.REQUEST, "round 1, slot 1")},
    change_snapshot: {(What.SNAPSHOT, "round 2")},
    change_source: {(What.CANDIDATE, "round 1, slot 1, turn 0")},
    change_library: {(What.LIBRARY, "round 0, slot 1")},
    change_halving: {(What.HALVING, "round 1")},
    change_standing: {(What.STANDING, "ipo, screen in panel:mini"), (What.PROMPT, "round 1, slot 1")},
    change_measurement: {(What.STANDING, "ipo, screen in panel:mini")},
    change_plan: {(What.FREEZE, "panel:mini")},
    # With it all draws are others than the sealed ones.
    change_seed: {(What.FREEZE, "panel:mini"), (What.STANDING, "all")},
}


def test_whatever_somebody_changed_is_found_where_it_is(sessions: Sessions, owner_sessions: Sessions) -> None:
    """As the owner of the tables, who may change what the service may not."""
    search = Search(sessions, table(MERITS), once_refused, budgets={"candidates": 4}, **IN_WORDS)
    search.search()
    for change, wanted in CHANGES.items():
        with owner_sessions() as session:
            change(session)
            session.flush()
            found = {(each.what, each.where) for each in search.replay(session).differences}
        assert found >= wanted, (change.__name__, found)
        if change in (change_request, change_measurement, change_plan):
            assert found == wanted, change.__name__


def test_a_training_that_is_tried_again_after_its_rounds_halving_is_no_difference(sessions: Sessions) -> None:
    search = Search(sessions, table(MERITS), in_turn(), budgets={"candidates": 2})
    search.search(until=lambda: search.counts(Purpose.TUNE).get(OTHERS[0], 0) > 0)
    given_up = next(row.id for name, row in search.evaluations() if name == OTHERS[0])
    search.crash(given_up)
    with sessions.begin() as session:
        resume_campaign(session, search.campaign_id)
    search.search(until=lambda: search.stopped()[1] == [])
    with sessions.begin() as session:
        retry_evaluation(session, given_up)
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    with sessions() as session:
        found = search.replay(session)
    assert [(each.what, each.where) for each in found.differences] == []
    assert any("round 1 was tried again" in each for each in found.notes)
