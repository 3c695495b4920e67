from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, CampaignProgress, Evaluation, Measurement, Proposal, Round
from discovery_service.domain.campaign import Budgets, CampaignSpec
from discovery_service.domain.ids import uuid7
from discovery_service.domain.states import CampaignStatus, EvaluationStatus, ProposalStatus, RoundStatus
from discovery_service.engine.campaigns import (
    archive_campaign,
    cancel_campaign,
    clone_campaign,
    create_campaign,
    delete_campaign,
    edit_campaign,
    get_campaign,
    move,
    pause_campaign,
    resume_campaign,
)
from discovery_service.engine.claim import claim, finish
from discovery_service.engine.dispatch import ADVANCE_TASK, MAINTAIN_QUEUE, unit_of_work
from discovery_service.engine.work import EVALUATION, WORK_KINDS
from discovery_service.errors import Conflict, IllegalTransition, NotFound
from tests import rows
from tests.conftest import RecordingBell
from tests.engine.conftest import Stage
from tests.waiting import wait_for_blocked


def test_a_new_campaign_waits_with_nothing_spent_and_says_so(sessions: Sessions) -> None:
    spec = CampaignSpec(arena="panel:mini", seed=7)
    with sessions.begin() as session:
        made = create_campaign(session, name="first", notes="", spec=spec, created_by=None)
    assert (made.status, made.progress.tokens, made.progress.best) == (CampaignStatus.QUEUED, 0, None)
    assert CampaignSpec.model_validate(made.spec) == spec


@pytest.mark.parametrize("started", [False, True])
def test_a_resumed_campaign_is_where_it_was_paused(sessions: Sessions, started: bool) -> None:
    before = CampaignStatus.RUNNING if started else CampaignStatus.QUEUED
    with sessions.begin() as session:
        campaign = rows.add_campaign(session, status=before)
        assert pause_campaign(session, campaign.id).status is CampaignStatus.PAUSED
        assert resume_campaign(session, campaign.id).status is before


def test_each_command_given_twice_does_and_tells_it_once(stage: Stage) -> None:
    for command in (pause_campaign, resume_campaign, cancel_campaign):
        for _ in range(2):
            with stage.sessions.begin() as session:
                command(session, stage.campaign_id)
    assert stage.events() == [
        "campaign.created",
        *("campaign.paused", "campaign.running", "campaign.cancelling", "campaign.cancelled"),
    ]


def test_resuming_rings_for_everything_that_waits(stage: Stage, bell: RecordingBell) -> None:
    waiting = {kind: stage.add_work(kind) for kind in WORK_KINDS}
    held = stage.add_held()
    with stage.sessions.begin() as session:
        pause_campaign(session, stage.campaign_id)
    with unit_of_work(stage.sessions, bell) as session:
        resume_campaign(session, stage.campaign_id)
    work = {(kind.task, kind.queue, str(row_id)) for kind, row_id in waiting.items()}
    assert set(bell.rings) == work | {(ADVANCE_TASK, MAINTAIN_QUEUE, str(stage.campaign_id))}
    assert str(held.id) not in {row_id for _, _, row_id in bell.rings}


@pytest.mark.parametrize(
    "status", [CampaignStatus.CANCELLING, CampaignStatus.CANCELLED, CampaignStatus.COMPLETED, CampaignStatus.FAILED]
)
def test_what_does_not_go_on_is_neither_paused_nor_resumed(sessions: Sessions, status: CampaignStatus) -> None:
    with sessions.begin() as session:
        campaign = rows.add_campaign(session, status=status)
    for command in (pause_campaign, resume_campaign):
        with sessions.begin() as session, pytest.raises(IllegalTransition, match=str(status)):
            command(session, campaign.id)


def test_cancelling_ends_what_waits_and_asks_what_runs_to_stop(stage: Stage) -> None:
    waiting = {kind: stage.add_work(kind) for kind in WORK_KINDS}
    held = stage.add_held()
    with stage.sessions.begin() as session:
        assert cancel_campaign(session, stage.campaign_id).status is CampaignStatus.CANCELLING
    for kind, row_id in waiting.items():
        row = stage.get((kind, row_id))
        assert row.status == kind.cancelled
        assert row.finished_at is not None
    row = stage.get(held)
    assert row.status is EvaluationStatus.RUNNING
    assert row.cancel_requested_at is not None

    with stage.sessions.begin() as session:
        assert finish(session, held, EvaluationStatus.CANCELLED)
    campaign = stage.get_campaign()
    assert campaign.status is CampaignStatus.CANCELLED
    assert campaign.finished_at is not None


def test_cancelling_closes_rounds_and_their_open_proposals(stage: Stage) -> None:
    with stage.sessions.begin() as session:
        campaign = get_campaign(session, stage.campaign_id)
        opened = rows.add_proposal(session, campaign, status=ProposalStatus.ASKING)
        answered = rows.add_proposal(session, campaign, status=ProposalStatus.ANSWERED)
    with stage.sessions.begin() as session:
        assert cancel_campaign(session, stage.campaign_id).status is CampaignStatus.CANCELLED
    with stage.sessions() as session:
        assert set(session.scalars(select(Round.status))) == {RoundStatus.CLOSED}
        assert session.get_one(Proposal, opened.id).status is ProposalStatus.CANCELLED
        assert session.get_one(Proposal, answered.id).status is ProposalStatus.ANSWERED


def test_of_two_workers_that_finish_at_once_the_last_one_settles_the_cancellation(
    stage: Stage, threads: ThreadPoolExecutor
) -> None:
    one, other = stage.add_held(), stage.add_held()
    with stage.sessions.begin() as session:
        cancel_campaign(session, stage.campaign_id)

    def end_other() -> bool:
        with stage.sessions.begin() as session:
            return finish(session, other, EvaluationStatus.CANCELLED)

    with stage.sessions.begin() as session:
        assert finish(session, one, EvaluationStatus.CANCELLED)
        late = threads.submit(end_other)
        wait_for_blocked(stage.sessions, 1)
    assert late.result()
    assert stage.get_campaign().status is CampaignStatus.CANCELLED
    assert stage.events().count("campaign.cancelled") == 1


def test_a_claim_that_races_a_cancellation_is_either_told_to_stop_or_never_starts(
    stage: Stage, threads: ThreadPoolExecutor
) -> None:
    row_id = stage.add_work()

    def cancel() -> CampaignStatus:
        with stage.sessions.begin() as session:
            return cancel_campaign(session, stage.campaign_id).status

    with stage.sessions.begin() as session:
        held = claim(session, EVALUATION, row_id, stage.worker_id)
        assert held is not None
        late = threads.submit(cancel)
        wait_for_blocked(stage.sessions, 1)
    assert late.result() is CampaignStatus.CANCELLING
    assert stage.get(held).cancel_requested_at is not None


def test_an_edit_changes_what_is_given_and_tells_which_fields(stage: Stage) -> None:
    budgets = Budgets(candidates=3)
    with stage.sessions.begin() as session:
        edited = edit_campaign(
            session, stage.campaign_id, name=None, notes="slow", guidance="be brief", budgets=budgets
        )
        assert (edited.name, edited.notes, edited.spec["guidance"]) == ("a search", "slow", "be brief")
        assert CampaignSpec.model_validate(edited.spec).budgets == budgets
    events = stage.events()
    with stage.sessions.begin() as session:
        edit_campaign(session, stage.campaign_id, name=None, notes="slow", guidance=None, budgets=None)
    assert stage.events() == events


def test_a_clone_has_the_spec_and_nothing_of_the_history(stage: Stage) -> None:
    with stage.sessions.begin() as session:
        original = get_campaign(session, stage.campaign_id)
        clone = clone_campaign(session, stage.campaign_id, name=None, created_by=None)
        assert (clone.spec, clone.cloned_from) == (original.spec, original.id)
        assert (clone.name, clone.status) == ("a search (clone)", CampaignStatus.QUEUED)
        assert clone.progress.campaign_id == clone.id


def test_only_what_has_ended_is_archived(stage: Stage) -> None:
    with stage.sessions.begin() as session, pytest.raises(Conflict, match="running"):
        archive_campaign(session, stage.campaign_id, archived=True)
    with stage.sessions.begin() as session:
        cancel_campaign(session, stage.campaign_id)
        assert archive_campaign(session, stage.campaign_id, archived=True).archived_at is not None
        assert archive_campaign(session, stage.campaign_id, archived=False).archived_at is None


def test_what_runs_is_not_deleted(stage: Stage) -> None:
    with stage.sessions.begin() as session, pytest.raises(Conflict, match="running"):
        delete_campaign(session, stage.campaign_id)


def test_what_is_paused_is_not_deleted_while_a_worker_holds_some_of_it(stage: Stage) -> None:
    held = stage.add_held()
    with stage.sessions.begin() as session:
        pause_campaign(session, stage.campaign_id)
    with stage.sessions.begin() as session, pytest.raises(Conflict):
        delete_campaign(session, stage.campaign_id)
    with stage.sessions.begin() as session:
        assert finish(session, held, EvaluationStatus.FAILED)
        delete_campaign(session, stage.campaign_id)


def test_a_deleted_campaigns_work_waits_no_longer(stage: Stage) -> None:
    waiting = {kind: stage.add_work(kind) for kind in WORK_KINDS}
    with stage.sessions.begin() as session:
        pause_campaign(session, stage.campaign_id)
        delete_campaign(session, stage.campaign_id)
    assert [stage.get(work).status for work in waiting.items()] == [kind.cancelled for kind in WORK_KINDS]


def test_a_deleted_campaign_is_found_no_more_and_what_was_measured_stays(stage: Stage) -> None:
    held = stage.add_held()
    with stage.sessions.begin() as session:
        measurement = rows.add_measurement(session, of=session.get_one(Evaluation, held.id))
        assert finish(session, held, EvaluationStatus.SUCCEEDED, measurement_id=measurement.id)
        cancel_campaign(session, stage.campaign_id)
        delete_campaign(session, stage.campaign_id)
    with stage.sessions() as session:
        with pytest.raises(NotFound):
            get_campaign(session, stage.campaign_id)
        assert session.get_one(Measurement, measurement.id)
    assert stage.get(held).status is EvaluationStatus.SUCCEEDED
    assert stage.events()[-1] == "campaign.deleted"


def test_a_campaign_that_was_never_there_is_not_found(sessions: Sessions) -> None:
    with sessions() as session, pytest.raises(NotFound):
        get_campaign(session, uuid7())


def test_an_illegal_move_changes_nothing_and_tells_what_the_campaign_is(stage: Stage) -> None:
    with stage.sessions.begin() as session:
        campaign = get_campaign(session, stage.campaign_id)
        with pytest.raises(IllegalTransition) as refused:
            move(session, campaign, CampaignStatus.QUEUED)
    assert refused.value.extra == {"status_now": "running"}
    assert stage.events() == ["campaign.created"]


def test_a_campaign_that_is_extended_is_not_finished_any_more(stage: Stage) -> None:
    for target in (CampaignStatus.COMPLETED, CampaignStatus.RUNNING):
        with stage.sessions.begin() as session:
            campaign = get_campaign(session, stage.campaign_id, lock=True)
            move(session, campaign, target)
        assert (stage.get_campaign().finished_at is None) == (target is CampaignStatus.RUNNING)


def test_a_busy_counter_does_not_wait_for_an_edit_nor_an_edit_for_it(stage: Stage) -> None:
    """Counters live in a table of their own for this."""
    with stage.sessions.begin() as editor, stage.sessions.begin() as counter:
        edit_campaign(editor, stage.campaign_id, name="renamed", notes=None, guidance=None, budgets=None)
        counter.connection().exec_driver_sql("SET lock_timeout = '1s'")
        counter.execute(update(CampaignProgress).values(tokens=CampaignProgress.tokens + 1))
    with stage.sessions() as session:
        assert session.get_one(Campaign, stage.campaign_id).name == "renamed"
