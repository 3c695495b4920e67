"""Models with a small context: what is asked of them fits into it, or fails by itself."""

import pytest

from discovery_service.db.sessions import Sessions
from discovery_service.domain.states import CampaignStatus, ExchangeStatus, ProposalStatus
from discovery_service.engine.campaigns import resume_campaign
from tests.engine.searching import OTHERS, say
from tests.llm.endpoint import Endpoint, limited_to, replying
from tests.workers.asking import Asking, models

pytestmark = pytest.mark.usefixtures("in_process")


def test_prompts_too_long_for_a_model_fail_one_by_one_and_the_campaign_goes_on(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint(otherwise=limited_to(10_000, say("exp"))) as endpoint:
        proposers = models(endpoint, monkeypatch)
        asking = Asking(sessions, library=["dpo"], proposers=proposers, budgets={"candidates": 2})
        exchanges = asking.ask()
    campaign = asking.get_campaign()
    assert campaign.status is CampaignStatus.COMPLETED, campaign.status_reason
    assert [each.status for each in exchanges] == [ExchangeStatus.FAILED] * 2
    told = [(each["code"], each["message"]) for each in asking.told("exchange.failed")]
    for _, proposal in asking.list_proposals():
        outcome = proposal.outcome or {}
        assert (proposal.status, outcome["code"]) == (ProposalStatus.FAILED, "context_length_exceeded")
        assert "context_tokens" in outcome["message"]
        assert (outcome["code"], outcome["message"]) in told
    assert asking.progress().tokens == 0


@pytest.mark.parametrize("guidance", ["", "\u8981\u7b80\u5355\u3002" * 40])
def test_prompts_and_corrections_are_fitted_into_the_context_that_a_profile_names(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, guidance: str
) -> None:
    """Of a library that would not fit, and replies that the gate refuses until nothing more fits."""
    reply = say("nonsense").replace("return", "x = beta\n" * 150 + "    return")
    with Endpoint(otherwise=limited_to(8_500, reply)) as endpoint:
        proposers = models(endpoint, monkeypatch, CONTEXT_TOKENS="8500", MAX_TOKENS="4000")
        spec = {"library": ["dpo", *OTHERS[:12]], "guidance": guidance, "proposers": proposers}
        asking = Asking(sessions, budgets={"candidates": 4}, **spec)
        exchanges = asking.ask()
        lengths = [len(each["messages"]) for each in endpoint.requests]
    assert [each.failure for each in exchanges] == [None] * len(exchanges)
    assert {each.status for each in exchanges} == {ExchangeStatus.ANSWERED}
    assert asking.get_campaign().status is CampaignStatus.COMPLETED
    # The second correction goes without the first one, as both together would not fit.
    assert lengths.count(4) == len(lengths) - lengths.count(2) >= lengths.count(2) == 4
    assert all("are left out for length" in str(each.messages) for each in exchanges)
    assert asking.list_differing() == []
    # Profiles change; what was asked was asked all the same.
    models(endpoint, monkeypatch, CONTEXT_TOKENS="200000")
    assert asking.list_differing() == []


def test_a_correction_that_does_not_fit_is_not_asked_for_and_the_proposal_says_so(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = say("nonsense").replace("return", "x = beta\n" * 1000 + "    return")
    with Endpoint(otherwise=limited_to(10_000, reply)) as endpoint:
        proposers = models(endpoint, monkeypatch, CONTEXT_TOKENS="10000", MAX_TOKENS="4000")
        asking = Asking(sessions, library=["dpo"], proposers=proposers, budgets={"candidates": 1})
        [exchange] = asking.ask()
    [(_, proposal)] = asking.list_proposals()
    assert exchange.status is ExchangeStatus.ANSWERED
    assert (proposal.outcome or {})["not_asked_again"]["code"] == "context"
    assert asking.list_differing() == []


def test_a_context_that_no_prompt_fits_into_pauses_the_campaign_until_its_profile_is_mended(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint(otherwise=replying(say("exp"))) as endpoint:
        proposers = models(endpoint, monkeypatch, CONTEXT_TOKENS="9000")
        asking = Asking(sessions, library=["dpo"], proposers=proposers, budgets={"candidates": 1})
        assert asking.ask() == []
        campaign = asking.get_campaign()
        assert campaign.status is CampaignStatus.PAUSED
        assert "give its profile a larger context_tokens" in (campaign.status_reason or "")
        models(endpoint, monkeypatch, CONTEXT_TOKENS="20000")
        with sessions.begin() as session:
            resume_campaign(session, asking.campaign_id)
        [exchange] = asking.ask()
    assert exchange.status is ExchangeStatus.ANSWERED
