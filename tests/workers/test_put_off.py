"""Questions that wait to be asked again: when, how often, and who does not wait any more."""

from uuid import UUID

import pytest
from sqlalchemy import func

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Exchange, Proposal
from discovery_service.domain.states import CampaignStatus, ExchangeStatus, ProposalStatus
from discovery_service.engine.campaigns import cancel_campaign
from discovery_service.engine.exchanges import Posed, count_attempts, pose, put_back
from tests.engine.searching import say
from tests.llm.endpoint import Behaviour, Endpoint, failing, replying
from tests.workers.asking import Asking, models

pytestmark = pytest.mark.usefixtures("in_process")


def open_first(asking: Asking) -> UUID:
    """Its question."""
    asking.search(until=lambda: bool(asking.list_proposals()))
    [(_, proposal)] = asking.list_proposals()
    [exchange] = asking.list_exchanges(proposal.id)
    return exchange.id


def hold(asking: Asking, exchange_id: UUID) -> Posed:
    with asking.sessions.begin() as session:
        posed = pose(session, exchange_id, asking.worker_id)
    assert posed is not None
    return posed


def find_status(asking: Asking, exchange_id: UUID) -> ExchangeStatus:
    with asking.sessions() as session:
        return session.get_one(Exchange, exchange_id).status


def pass_time(asking: Asking, exchange_id: UUID) -> Exchange:
    """As the wait of a question ends."""
    with asking.sessions.begin() as session:
        exchange = session.get_one(Exchange, exchange_id)
        exchange.not_before = None if exchange.not_before is None else func.now()
        return exchange


def test_an_endpoint_is_left_alone_for_as_long_as_it_says_and_that_is_no_failure(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.llm.asking.ATTEMPTS", 1)
    put_off, failed = failing(429, "slower", Retry_After="600"), failing(500, "oh no")
    script = [*[failed] * 4, *[put_off] * 7]
    with Endpoint(*script, otherwise=replying(say("exp"))) as endpoint:
        asking = Asking(sessions, library=["dpo"], proposers=models(endpoint, monkeypatch))
        exchange_id = open_first(asking)
        for asked in range(1, len(script) + 1):
            asking.answer(exchange_id)
            with sessions() as session:
                exchange = session.get_one(Exchange, exchange_id)
            assert (exchange.status, len(endpoint.requests)) == (ExchangeStatus.QUEUED, asked)
            # Of the same transaction, and so by the same clock.
            assert exchange.rung_at is not None
            assert exchange.not_before is not None
            assert (exchange.not_before - exchange.rung_at).total_seconds() == (60 if asked <= 4 else 600)
            # As by a message that was sent before: many are, where questions wait for their turn at a model.
            asking.answer(exchange_id)
            assert len(endpoint.requests) == asked
            pass_time(asking, exchange_id)
        assert asking.get_campaign().status is CampaignStatus.RUNNING
        assert asking.told("exchange.queued")[-1]["again_after_s"] == 600
        [exchange] = asking.ask()
    assert exchange.status is ExchangeStatus.ANSWERED


@pytest.mark.parametrize(
    ("behaviour", "asked", "reason"),
    [
        (failing(429, "tomorrow", Retry_After="86400"), 1, "asked again in 24.0 hours; resume then"),
        (failing(429, "never", Retry_After="1e300"), 1, "resume then"),
        # It may have been charged each time, so that it is not tried for ever.
        (failing(504, "later", Retry_After="600"), 5, "It was asked 5 times"),
    ],
)
def test_a_wait_beyond_reason_or_one_that_costs_pauses_the_campaign(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour, asked: int, reason: str
) -> None:
    with Endpoint(otherwise=behaviour) as endpoint:
        asking = Asking(sessions, library=["dpo"], proposers=models(endpoint, monkeypatch))
        exchange_id = open_first(asking)
        for _ in range(asked):
            asking.answer(exchange_id)
            exchange = pass_time(asking, exchange_id)
        assert len(endpoint.requests) == asked
    campaign = asking.get_campaign()
    assert campaign.status is CampaignStatus.PAUSED
    assert reason in (campaign.status_reason or "")
    assert (exchange.status, exchange.not_before) == (ExchangeStatus.QUEUED, None)


def test_a_question_that_is_put_back_after_a_cancellation_ends_with_its_campaign(sessions: Sessions) -> None:
    asking = Asking(sessions, library=["dpo"])
    exchange_id = open_first(asking)
    posed = hold(asking, exchange_id)
    with sessions.begin() as session:
        cancel_campaign(session, asking.campaign_id)
    with sessions.begin() as session:
        assert put_back(session, posed, {"code": "paused", "message": "It was paused."})
    assert find_status(asking, exchange_id) is ExchangeStatus.CANCELLED
    assert asking.get_campaign().status is CampaignStatus.CANCELLED


def test_a_question_whose_proposal_was_cut_meanwhile_is_not_asked_again(sessions: Sessions) -> None:
    asking = Asking(sessions, library=["dpo"])
    exchange_id = open_first(asking)
    posed = hold(asking, exchange_id)
    with sessions.begin() as session:
        session.get_one(Proposal, session.get_one(Exchange, exchange_id).proposal_id).status = ProposalStatus.CANCELLED
    with sessions.begin() as session:
        assert put_back(session, posed, {"code": "server_error", "message": "It failed."})
    assert find_status(asking, exchange_id) is ExchangeStatus.CANCELLED
    assert asking.get_campaign().status is CampaignStatus.RUNNING


def test_what_a_pause_held_back_is_no_attempt(sessions: Sessions) -> None:
    asking = Asking(sessions, library=["dpo"])
    exchange_id = open_first(asking)
    counted = []
    for counts in (False, False, True, False, True):
        posed = hold(asking, exchange_id)
        counted.append(count_attempts(posed))
        with sessions.begin() as session:
            assert put_back(session, posed, {"code": "paused", "message": "It was paused."}, counts=counts)
    assert counted == [1, 1, 1, 2, 2]
