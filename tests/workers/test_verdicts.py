"""A campaign from its accepted candidates to its verdict, trained by a real worker."""

from collections import Counter

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Candidate, Evaluation, Event, Round, Standing
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.families import Family
from discovery_service.domain.states import CampaignStatus, CandidateStatus, EvaluationStatus, RoundStatus
from discovery_service.engine.arenas import register_arena
from discovery_service.engine.bell import make_bell
from discovery_service.engine.campaigns import create_campaign
from discovery_service.engine.dispatch import unit_of_work
from discovery_service.engine.standings import rebuild
from discovery_service.engine.verdicts import proceed
from discovery_service.losses.described import list_described
from tests import rows
from tests.conftest import RecordingBell
from tests.runtime.toy import document
from tests.waiting import wait_until
from tests.workers.conftest import Fleet
from workers import steps
from workers.steps import take_step
from workers.tasks import maintain

SETTING = {"beta": 1.0, "learning_rate": 0.05, "steps": 8}


def add_campaign(sessions: Sessions) -> Campaign:
    """With DPO for a library and one proposed loss, both accepted."""
    with sessions.begin() as session:
        register_arena(session, document(name="toy", setting=SETTING))
        confirmation = {"finalists": 1, "min_draws": 9, "detect": 10.0}
        spec = CampaignSpec.model_validate(
            {"arena": "toy", "library": ["dpo"], "confirmation": confirmation, "tuning": {"screen_draws": 2}}
        )
        campaign = create_campaign(session, name="toys", notes="", spec=spec, created_by=None)
        campaign.status = CampaignStatus.RUNNING
        campaign.progress.search_over_at = func.now()
        described = list_described(Family.PAIRWISE)
        for author, name in ((Author.LIBRARY, "dpo"), (Author.SYMBOLIC, "exp")):
            made_in = rows.add_round(session, campaign, status=RoundStatus.EVALUATING)
            known = described[name]
            columns = {"graph": known.graph, "graph_sha256": known.graph_sha256, "passport": known.passport}
            rows.add_candidate(session, campaign, made_in=made_in, name=name, author=author, **columns)
        return campaign


def get(sessions: Sessions, campaign: Campaign) -> Campaign:
    with sessions() as session:
        return session.get_one(Campaign, campaign.id)


@pytest.mark.timeout(400)
def test_a_worker_takes_a_campaign_to_its_verdict(sessions: Sessions, fleet: Fleet, redis_url: str) -> None:
    campaign = add_campaign(sessions)
    with unit_of_work(sessions, make_bell(redis_url)) as session:
        proceed(session, campaign.id)
    fleet.start_evaluate(slots=2)
    wait_until(lambda: get(sessions, campaign).status is not CampaignStatus.RUNNING, deadline_s=300)
    ended = get(sessions, campaign)
    assert ended.status is CampaignStatus.COMPLETED, ended.status_reason
    with sessions.begin() as session:
        query = select(Candidate.name, Evaluation.purpose, Evaluation.status)
        trained = Counter(session.execute(query.join(Candidate, Candidate.id == Evaluation.candidate_id)).all())
        assert trained == {
            (name, purpose, EvaluationStatus.SUCCEEDED): count
            for name in ("dpo", "exp")
            # DPO is confirmed at both settings between which its tuning chose.
            for purpose, count in (("tune", 11), ("screen", 2), ("confirm", 18 if name == "dpo" else 9))
        }
        judged = select(Candidate.name).join(Standing, Standing.candidate_id == Candidate.id)
        assert session.scalars(judged.where(Standing.verdict.is_not(None))).all() == ["exp"]
        assert rebuild(session, campaign.id).differed == 0


@pytest.mark.usefixtures("in_process")
def test_the_sweep_takes_the_steps_that_nobody_took(
    sessions: Sessions, bell: RecordingBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign, judging = add_campaign(sessions), add_campaign(sessions)
    with sessions.begin() as session:
        for each in session.scalars(select(Round).where(Round.campaign_id == judging.id)):
            each.status = RoundStatus.GATING
        for each in session.scalars(select(Candidate).where(Candidate.campaign_id == judging.id)):
            each.status = CandidateStatus.GATING
    bell.count_messages = dict  # type: ignore[attr-defined]
    monkeypatch.setattr(maintain, "get_bell", lambda: bell)
    maintain.sweep()
    with sessions() as session:
        waiting = list(session.execute(select(Evaluation.campaign_id, Evaluation.id)))
    assert {campaign_id for campaign_id, _ in waiting} == {campaign.id}
    assert len(waiting) == 6
    assert {row_id for _, _, row_id in bell.rings} == {str(row_id) for _, row_id in waiting}


@pytest.mark.usefixtures("in_process")
def test_a_step_that_fails_by_our_fault_pauses_the_campaign_with_the_reason(sessions: Sessions) -> None:
    campaign = add_campaign(sessions)
    with sessions.begin() as session:
        exp = session.scalars(select(Candidate).where(Candidate.name == "exp")).one()
        exp.passport = {}
    take_step(campaign.id)
    paused = get(sessions, campaign)
    assert paused.status is CampaignStatus.PAUSED
    assert paused.status_reason == (
        f"The service failed at the next step of campaign {campaign.id}: ValueError: the passport of candidate"
        f" {exp.id} does not say whether it uses beta; judge it again. Nothing measured is lost;"
        " the worker's log has the rest, under step.failed."
    )
    with sessions() as session:
        assert session.query(Event).filter_by(kind="campaign.paused").count() == 1


@pytest.mark.usefixtures("in_process")
def test_what_the_database_refuses_is_told_without_statement_and_parameters(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = add_campaign(sessions)

    def refuse(session: Session, *_: object) -> None:
        session.execute(text("SELECT :secret / 0"), {"secret": 41})

    monkeypatch.setattr(steps, "advance", refuse)
    take_step(campaign.id)
    reason = get(sessions, campaign).status_reason or ""
    assert "DivisionByZero: division by zero" in reason
    assert "SELECT" not in reason
    assert "41" not in reason.replace(str(campaign.id), "")


@pytest.mark.usefixtures("in_process")
def test_a_campaign_that_cannot_even_be_paused_holds_up_no_other(
    sessions: Sessions, bell: RecordingBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = add_campaign(sessions), add_campaign(sessions)
    with sessions.begin() as session:
        for each in session.scalars(select(Candidate).where(Candidate.campaign_id == broken.id)):
            each.passport = {}

    def refuse(*_: object) -> None:
        raise RuntimeError("no pause")

    bell.count_messages = dict  # type: ignore[attr-defined]
    monkeypatch.setattr(maintain, "get_bell", lambda: bell)
    monkeypatch.setattr(steps, "pause_for", refuse)
    maintain.sweep()
    with sessions() as session:
        assert set(session.scalars(select(Evaluation.campaign_id))) == {sound.id}
