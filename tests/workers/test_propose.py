"""Questions put to the real proposers, within campaigns of which all else comes from tables."""

import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

import workers.settling
import workers.tasks.propose
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Event, Exchange
from discovery_service.domain.states import CampaignStatus, ExchangeStatus, ProposalStatus
from discovery_service.engine.campaigns import cancel_campaign, pause_campaign, resume_campaign
from discovery_service.engine.claim import MAX_CRASHES, crash
from discovery_service.engine.exchanges import answer, pose
from discovery_service.engine.work import EXCHANGE
from discovery_service.settings import get_settings
from tests.conftest import RecordingBell
from tests.engine.searching import say
from tests.llm.endpoint import (
    Behaviour,
    Endpoint,
    Handler,
    cutting,
    dripping,
    failing,
    flooding,
    overcharging,
    replying,
    sending,
    staying_silent,
)
from tests.workers.asking import Asking, models
from workers.llm.recorded import RecordedServer
from workers.llm.recordings import find_recording

pytestmark = pytest.mark.usefixtures("in_process")


def test_the_symbolic_proposer_draws_the_same_again_and_another_one_after_a_refusal(sessions: Sessions) -> None:
    replies = []
    for _ in range(2):
        asking = Asking(sessions, seed=3)
        exchanges = asking.ask()
        assert [each.turn for each in exchanges] == [0, 1, 2]
        assert {each.status for each in exchanges} == {ExchangeStatus.ANSWERED}
        replies.append([each.reply for each in exchanges])
    assert replies[0] == replies[1]
    assert len(set(replies[0])) == 3


def test_what_is_played_says_in_its_row_what_it_was(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordedServer(0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DISCOVERY__LLM__RECORDED_URL", server.url)
        get_settings.cache_clear()
        asking = Asking(sessions, proposers=[{"kind": "recorded"}])
        first = asking.ask()[0]
        server.shutdown()
    assert (first.status, first.model, first.answered_by) == (ExchangeStatus.ANSWERED, None, "recorded/panel")
    assert asking.progress().tokens == 0


def test_a_model_is_charged_what_it_says_it_used(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    with Endpoint(replying(say("exp"), tokens=(1000, 500))) as endpoint:
        asking = Asking(sessions, proposers=models(endpoint, monkeypatch))
        [exchange] = asking.ask()
    assert (exchange.status, exchange.reply) == (ExchangeStatus.ANSWERED, say("exp"))
    assert (exchange.model, exchange.answered_by) == ("fast", "a-model-2026")
    assert (exchange.tokens_in, exchange.tokens_out, exchange.cost_usd) == (1000, 500, Decimal("0.002"))
    found = asking.progress()
    assert (found.tokens, found.cost_usd) == (1500, Decimal("0.002"))
    assert [each.status for _, each in asking.list_proposals()] == [ProposalStatus.ANSWERED]


def test_a_database_that_blinks_costs_no_reply(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def blink_once(session: Session, *given: Any, **named: Any) -> bool:
        tried.append(given)
        if len(tried) == 1:
            session.execute(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$"))
        return answer(session, *given, **named)

    monkeypatch.setattr(workers.settling, "AGAIN_AFTER_S", 0.0)
    monkeypatch.setattr(workers.tasks.propose, "answer", blink_once)
    with Endpoint(replying(say("exp"), tokens=(1000, 500))) as endpoint:
        asking = Asking(sessions, proposers=models(endpoint, monkeypatch))
        [exchange] = asking.ask()
    assert (exchange.reply, exchange.attempt, exchange.crashes) == (say("exp"), 1, 0)
    assert asking.progress().tokens == 1500


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        ([failing(401, "who are you")], ExchangeStatus.QUEUED, "who are you"),
        ([failing(429, "slower")] * 6, ExchangeStatus.QUEUED, "It was asked 5 times"),
    ],
)
def test_what_a_person_has_to_mend_pauses_the_campaign_and_keeps_the_question(
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
    script: Sequence[Behaviour],
    status: ExchangeStatus,
    reason: str,
) -> None:
    # Each attempt of the exchange asks once, where it would ask four times with waits in between.
    monkeypatch.setattr("workers.llm.asking.ATTEMPTS", 1)
    with Endpoint(*script) as endpoint:
        asking = Asking(sessions, proposers=models(endpoint, monkeypatch))
        [exchange] = asking.ask()
    campaign = asking.get_campaign()
    assert campaign.status is CampaignStatus.PAUSED
    assert reason in (campaign.status_reason or "")
    assert (exchange.status, exchange.finished_at) == (status, None)
    assert asking.progress().tokens == 0


@pytest.mark.parametrize(
    ("name", "value"), [("OPENAI_API_KEY", "hunter2\nhunter2"), ("OPENAI_BASE_URL", "https://me:hunter2@proxy/v1")]
)
def test_a_setting_that_cannot_be_used_pauses_the_campaign_by_its_name_and_is_told_nowhere(
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    asking = Asking(sessions, library=["dpo"], proposers=[{"kind": "llm", "models": [{"model": "m"}]}])
    [exchange] = asking.ask()
    campaign = asking.get_campaign()
    assert (campaign.status, exchange.status) == (CampaignStatus.PAUSED, ExchangeStatus.QUEUED)
    assert f"The setting {name} cannot be used" in (campaign.status_reason or "")
    assert asking.told("exchange.crashed") == []
    with sessions() as session:
        written = [str(each.payload) for each in session.scalars(select(Event))]
    told = [*written, campaign.status_reason or "", str(exchange.failure), caplog.text, *capsys.readouterr()]
    assert [each for each in told if "hunter2" in each] == []


def test_an_answer_that_a_filter_stopped_ends_the_proposal_and_not_the_campaign(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint(replying("", finish_reason="content_filter")) as endpoint:
        asking = Asking(sessions, proposers=models(endpoint, monkeypatch))
        [exchange] = asking.ask()
    assert exchange.status is ExchangeStatus.FAILED
    assert [each.status for _, each in asking.list_proposals()] == [ProposalStatus.FAILED]
    assert asking.get_campaign().status is CampaignStatus.COMPLETED
    assert asking.progress().tokens == 150


def test_no_question_is_asked_that_the_budget_could_not_pay(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint() as endpoint:
        budgets = {"candidates": 4, "tokens": 9_000}
        asking = Asking(sessions, proposers=models(endpoint, monkeypatch), budgets=budgets)
        assert asking.ask() == []
    assert asking.get_campaign().status is CampaignStatus.COMPLETED
    assert "room for another proposal" in asking.told("search.over")[0]["reason"]


BUDGET = 60_000
"""Of tokens: a few calls at their worst, fewer than an exchange may have."""


@pytest.mark.parametrize(
    ("behaviour", "code", "is_paid"),
    [
        (staying_silent, "timeout", True),
        (dripping, "timeout", True),
        (flooding, "answer_too_large", True),
        (cutting, "connection_cut", True),
        (sending(b"<html>It works!</html>", content_type="text/html"), "malformed_answer", True),
        (sending(b'{"choices": 7}'), "malformed_answer", True),
        (failing(429, "slower", Retry_After="20"), "rate_limited", False),
        (failing(500, "oh no"), "server_error", False),
        (failing(402, "no credit"), "insufficient_quota", False),
    ],
)
def test_whatever_an_endpoint_does_ends_with_its_reason_in_the_events_and_within_the_budget(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour, code: str, is_paid: bool
) -> None:
    """What may have been charged is paid until the budget has no room for another call, and the proposal fails; what
    costs nothing is tried until a person has to look, and the campaign pauses."""
    monkeypatch.setattr("workers.llm.asking.ATTEMPTS", 1)
    with Endpoint(otherwise=behaviour) as endpoint:
        options = {"TIMEOUT_S": "0.5"} if code == "timeout" else {}
        budgets = {"candidates": 1, "tokens": BUDGET}
        proposers = models(endpoint, monkeypatch, **options)
        asking = Asking(sessions, library=["dpo"], proposers=proposers, budgets=budgets)
        [exchange] = asking.ask()
    asked, worst = exchange.attempt, exchange.reserved_tokens or 0
    campaign, progress = asking.get_campaign(), asking.progress()
    told = [
        each["code"] for kind in ("exchange.queued", "exchange.failed") for each in asking.told(kind) if "code" in each
    ]
    assert told == [code] * asked
    if is_paid:
        assert (exchange.status, (exchange.failure or {})["code"]) == (ExchangeStatus.FAILED, code)
        assert "not_asked_again" in (exchange.failure or {})
        assert campaign.status is CampaignStatus.COMPLETED
        assert asking.told("exchange.failed")[0]["message"] == (exchange.failure or {})["message"]
        assert progress.tokens == asked * worst
        assert progress.tokens <= BUDGET < progress.tokens + worst
    else:
        assert exchange.status is ExchangeStatus.QUEUED
        assert campaign.status is CampaignStatus.PAUSED
        assert asking.told("campaign.paused")[0]["reason"] == campaign.status_reason
        assert asked == (1 if code == "insufficient_quota" else 5)
        assert progress.tokens == 0


def test_an_answer_that_does_not_tell_what_it_used_is_charged_at_its_worst(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint(replying(say("exp"), usage=None)) as endpoint:
        asking = Asking(sessions, library=["dpo"], proposers=models(endpoint, monkeypatch))
        [exchange] = asking.ask()
    assert exchange.status is ExchangeStatus.ANSWERED
    assert asking.progress().tokens == exchange.reserved_tokens


def test_a_worker_lost_in_the_middle_of_a_call_does_not_have_it_paid_twice_beyond_the_budget(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint() as endpoint:
        proposers = models(endpoint, monkeypatch)
        budgets = {"candidates": 1, "tokens": 25_000}
        asking = Asking(sessions, library=["dpo"], proposers=proposers, budgets=budgets)
        asking.search(until=lambda: bool(asking.list_proposals()))
        [(_, proposal)] = asking.list_proposals()
        [exchange] = asking.list_exchanges(proposal.id)
        assert 12_500 < (exchange.reserved_tokens or 0) < 25_000
        with sessions.begin() as session:
            posed = pose(session, exchange.id, asking.worker_id)
        assert posed is not None
        with sessions.begin() as session:
            crash(session, posed.held, "its worker was lost", counts=False)
        [exchange] = asking.ask()
        assert endpoint.requests == []
    assert (exchange.status, (exchange.failure or {})["code"]) == (ExchangeStatus.FAILED, "budget")
    assert asking.progress().tokens == exchange.reserved_tokens
    assert asking.get_campaign().status is CampaignStatus.COMPLETED


@pytest.mark.parametrize("budgets", [{"tokens": 30_000}, {"cost_usd": 0.05}])
def test_a_charge_beyond_what_was_reserved_is_told_and_leaves_no_room_for_another_question(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, budgets: dict[str, Any]
) -> None:
    with Endpoint(otherwise=overcharging(say("nonsense"))) as endpoint:
        asking = Asking(
            sessions,
            library=["dpo"],
            proposers=models(endpoint, monkeypatch),
            budgets={"candidates": 6, **budgets},
            strategy={"name": "evolve", "round_size": 2},
        )
        first, second = asking.ask()
        # Neither a correction of it, nor the one beside it that was reserved already, nor another round.
        assert len(endpoint.requests) == 1
    charged = 100 + 5 * 8192
    assert (first.status, second.status) == (ExchangeStatus.ANSWERED, ExchangeStatus.FAILED)
    assert (second.failure or {})["code"] == "budget"
    assert asking.progress().tokens == charged
    [told] = asking.told("exchange.overrun")
    assert told["reserved"] == {"tokens": first.reserved_tokens, "cost_usd": float(first.reserved_usd or 0)}
    assert told["charged"] == {"tokens": charged, "cost_usd": float(first.cost_usd or 0)}
    assert asking.get_campaign().status is CampaignStatus.COMPLETED
    assert len(asking.list_rounds()) == 2


@pytest.mark.parametrize(("counts", "ends"), [(True, "abandoned"), (False, "cancelled")])
def test_what_a_lost_worker_may_have_been_charged_is_told_when_nobody_asks_again(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, *, counts: bool, ends: str
) -> None:
    """After crashes that abandon the question, and after one that the campaign's cancellation follows."""
    with Endpoint() as endpoint:
        asking = Asking(sessions, library=["dpo"], proposers=models(endpoint, monkeypatch))
        asking.search(until=lambda: bool(asking.list_proposals()))
        [(_, proposal)] = asking.list_proposals()
        [exchange] = asking.list_exchanges(proposal.id)
        lost = MAX_CRASHES if counts else 1
        for _ in range(lost):
            with sessions.begin() as session:
                posed = pose(session, exchange.id, asking.worker_id)
            assert posed is not None
            with sessions.begin() as session:
                assert crash(session, posed.held, "its worker was lost", counts=counts)
        with sessions.begin() as session:
            cancel_campaign(session, asking.campaign_id)
    [exchange] = asking.list_exchanges(proposal.id)
    told, worst = asking.progress(), exchange.reserved_usd
    assert (exchange.status, asking.get_campaign().status) == (ends, CampaignStatus.CANCELLED)
    assert worst is not None
    assert (told.tokens, told.cost_usd) == (lost * (exchange.reserved_tokens or 0), lost * worst)


@pytest.mark.parametrize(
    ("budgets", "options", "asked"),
    [
        ({"tokens": 30_000}, {"MAX_TOKENS": "32000"}, 0),
        ({"tokens": 60_000}, {"MAX_TOKENS": "32000"}, 1),
        ({"cost_usd": 0.1}, {"OUTPUT_USD_PER_MILLION": "20"}, 0),
        ({"cost_usd": 0.3}, {"OUTPUT_USD_PER_MILLION": "20"}, 1),
    ],
)
def test_a_call_that_may_cost_more_than_was_reserved_is_made_only_where_the_budget_has_room_for_the_rest(
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
    budgets: dict[str, Any],
    options: dict[str, str],
    asked: int,
) -> None:
    """The question is written by a worker that knows the model as cheaper than the one that asks it."""
    with Endpoint(otherwise=replying(say("exp"), usage=None)) as endpoint:
        proposers = models(endpoint, monkeypatch)
        asking = Asking(sessions, library=["dpo"], proposers=proposers, budgets={"candidates": 1, **budgets})
        asking.search(until=lambda: bool(asking.list_proposals()))
        models(endpoint, monkeypatch, **options)
        [exchange] = asking.ask()
        assert len(endpoint.requests) == asked
    spent = asking.progress()
    assert (exchange.status is ExchangeStatus.ANSWERED) == bool(asked)
    assert (spent.tokens, spent.cost_usd) == ((exchange.reserved_tokens, exchange.reserved_usd) if asked else (0, 0))
    assert spent.tokens <= budgets.get("tokens", spent.tokens)
    assert spent.cost_usd <= Decimal(str(budgets.get("cost_usd", spent.cost_usd)))
    if not asked:
        assert "give all workers the same profile" in (exchange.failure or {})["message"]
        assert asking.get_campaign().status is CampaignStatus.COMPLETED


def test_a_worker_that_does_not_know_the_price_asks_nobody_under_a_budget_in_dollars_until_it_does(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint(otherwise=replying(say("exp"))) as endpoint:
        proposers = models(endpoint, monkeypatch)
        asking = Asking(sessions, library=["dpo"], proposers=proposers, budgets={"candidates": 1, "cost_usd": 5})
        asking.search(until=lambda: bool(asking.list_proposals()))
        monkeypatch.delenv("DISCOVERY__LLM__PROFILES__FAST__INPUT_USD_PER_MILLION")
        get_settings.cache_clear()
        [exchange] = asking.ask()
        campaign = asking.get_campaign()
        assert (campaign.status, exchange.status) == (CampaignStatus.PAUSED, ExchangeStatus.QUEUED)
        assert "INPUT_USD_PER_MILLION" in (campaign.status_reason or "")
        assert endpoint.requests == []
        models(endpoint, monkeypatch)
        with sessions.begin() as session:
            resume_campaign(session, asking.campaign_id)
        [exchange] = asking.ask()
    assert (exchange.status, exchange.cost_usd) == (ExchangeStatus.ANSWERED, Decimal("0.0002"))


def test_a_cancelled_campaign_leaves_the_endpoint_at_once_and_pays_for_what_was_under_way(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint(otherwise=staying_silent) as endpoint:
        asking = Asking(sessions, library=["dpo"], proposers=models(endpoint, monkeypatch))
        running = threading.Thread(target=asking.ask)
        running.start()
        assert endpoint.asked.wait(60)
        with sessions.begin() as session:
            cancel_campaign(session, asking.campaign_id)
        assert endpoint.left.wait(20)
        running.join(60)
    [(_, proposal)] = asking.list_proposals()
    [exchange] = asking.list_exchanges(proposal.id)
    assert (exchange.status, proposal.status) == (ExchangeStatus.CANCELLED, ProposalStatus.CANCELLED)
    assert asking.get_campaign().status is CampaignStatus.CANCELLED
    assert asking.progress().tokens == exchange.reserved_tokens


def test_a_recording_that_does_not_come_through_costs_no_tokens(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint(cutting, otherwise=failing(410, "it has ended", code="not_recorded")) as endpoint:
        monkeypatch.setenv("DISCOVERY__LLM__RECORDED_URL", endpoint.url)
        get_settings.cache_clear()
        asking = Asking(sessions, library=["dpo"], proposers=[{"kind": "recorded"}])
        [exchange] = asking.ask()
    assert (exchange.attempt, (exchange.failure or {})["code"]) == (2, "not_recorded")
    assert asking.told("exchange.queued")[-1]["code"] == "connection_cut"
    assert asking.progress().tokens == 0


def test_a_pause_keeps_a_question_from_being_asked_again_and_a_resumption_asks_it(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint(failing(429, "slower", Retry_After="25"), otherwise=replying(say("exp"))) as endpoint:
        asking = Asking(sessions, library=["dpo"], proposers=models(endpoint, monkeypatch))
        running = threading.Thread(target=asking.ask)
        running.start()
        assert endpoint.asked.wait(60)
        with sessions.begin() as session:
            pause_campaign(session, asking.campaign_id)
        running.join(60)
        [(_, proposal)] = asking.list_proposals()
        [exchange] = asking.list_exchanges(proposal.id)
        assert (exchange.status, exchange.tokens_out) == (ExchangeStatus.QUEUED, 0)
        assert len(endpoint.requests) == 1
        assert asking.told("exchange.queued")[-1]["code"] == "paused"
        with sessions.begin() as session:
            resume_campaign(session, asking.campaign_id)
        [exchange] = asking.ask()
    assert exchange.status is ExchangeStatus.ANSWERED
    assert asking.progress().tokens == 150


def test_a_model_gets_no_more_calls_at_once_than_its_profile_says_and_who_waits_for_one_holds_nothing(
    sessions: Sessions, bell: RecordingBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def reply_at_last(handler: Handler) -> None:
        assert answers.wait(60)
        replying(say("exp"))(handler)

    with Endpoint(reply_at_last, otherwise=replying(say("exp"))) as endpoint:
        proposers = models(endpoint, monkeypatch, CONCURRENCY="1")
        asking = Asking(sessions, library=["dpo"], proposers=proposers, budgets={"candidates": 2})
        asking.search(until=lambda: bool(asking.list_proposals()))
        first, second = [each.id for _, made in asking.list_proposals() for each in asking.list_exchanges(made.id)]
        running = threading.Thread(target=asking.answer, args=(first,))
        running.start()
        assert endpoint.asked.wait(60)
        asking.answer(second)
        with sessions() as session:
            waiting = session.get_one(Exchange, second)
            assert (waiting.status, waiting.attempt) == (ExchangeStatus.QUEUED, 0)
        assert len(endpoint.requests) == 1
        bell.rings.clear()
        answers.set()
        running.join(60)
        assert (EXCHANGE.task, EXCHANGE.queue, str(second)) in bell.rings
        exchanges = asking.ask()
    assert [each.status for each in exchanges] == [ExchangeStatus.ANSWERED] * 2


def test_recordings_are_played_in_their_order_once_each_and_not_corrected(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of panel the last one is invalid JSON, and there is no thirteenth."""
    with RecordedServer(0) as server:
        playing = threading.Thread(target=server.serve_forever, args=(0.01,))
        playing.start()
        monkeypatch.setenv("DISCOVERY__LLM__RECORDED_URL", server.url)
        get_settings.cache_clear()
        spec = {"proposers": [{"kind": "recorded"}], "strategy": {"name": "evolve", "round_size": 13}}
        # Too few tokens for a single call of a model.
        asking = Asking(sessions, library=["dpo"], budgets={"candidates": 13, "tokens": 1}, **spec)
        exchanges = asking.ask()
        server.shutdown()
        playing.join()
    recordings = [find_recording("panel", 1 + number // 3, 1 + number % 3) for number in range(12)]
    assert [each.reply for each in exchanges] == [*(each.reply for each in recordings if each), None]
    assert {each.turn for each in exchanges} == {0}
    statuses = [each.status for _, each in asking.list_proposals()]
    # The losses are unknown to this test's gate; a recording has no other one.
    assert statuses == [ProposalStatus.ANSWERED] * 11 + [ProposalStatus.UNPARSABLE, ProposalStatus.FAILED]
    assert (exchanges[-1].failure or {})["code"] == "not_recorded"
    assert asking.progress().tokens == 0
