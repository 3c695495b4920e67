"""The way from accepted candidates to verdicts: tune and screen, freeze, confirm, in every arena, and the end.

Each step is a function of the campaign's rows that may be run again at any time, by anybody, in any order of arrival.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Exists, select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, Campaign, Evaluation, Freeze, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.freezing import TooFewDraws
from discovery_service.domain.outcomes import Lack, tell_no_finalist, tell_too_few, tell_untrained
from discovery_service.domain.states import CampaignStatus, EvaluationStatus, Purpose
from discovery_service.engine.arenas import get_arena_of
from discovery_service.engine.campaigns import move
from discovery_service.engine.confirm import Confirmation, read_confirmation, schedule_confirmation, score_confirmed
from discovery_service.engine.deadlines import drop_waiting, find_cut, find_overrun
from discovery_service.engine.endings import Apart, end_confirmed, end_unconfirmed
from discovery_service.engine.entries import JUDGED, Field, read_field
from discovery_service.engine.freeze import (
    find_freeze,
    find_last_freeze,
    freeze_held_out,
    freeze_search,
    has_new_finalist,
    list_frozen,
    list_left_out,
)
from discovery_service.engine.rounds import close_rounds
from discovery_service.engine.screen import is_screened, is_search_over, schedule_missing, score_field, tune_and_screen
from discovery_service.engine.standings import Board, project_screen, write_board


def _has_judged(campaign_id: Any) -> Exists:
    return select(Round.id).where(Round.campaign_id == campaign_id, Round.status.in_(JUDGED)).exists()


def proceed(session: Session, campaign_id: UUID, finished: UUID | None = None) -> None:
    """Do whatever can be done next; nothing where the campaign does not run.

    With the evaluation that has just finished, a candidate that is being tuned costs a look at itself alone.
    """
    # Locked before the look: of two workers that finish at once the second sees what the first one has committed.
    locked = select(Campaign).where(Campaign.id == campaign_id).with_for_update(key_share=True)
    campaign = session.scalars(locked, execution_options={"populate_existing": True}).one()
    if campaign.status is not CampaignStatus.RUNNING or session.scalar(select(_has_judged(campaign_id))) is False:
        return
    spec = CampaignSpec.model_validate(campaign.spec)
    last = None if finished is None else session.get_one(Evaluation, finished)
    if last is not None and last.purpose is Purpose.TUNE and _goes_on_alone(session, campaign, spec, last):
        return
    overrun = find_overrun(session, campaign, spec)
    may_begin = overrun is None
    is_busy = not may_begin and drop_waiting(session, campaign_id)
    frozen = _search(session, campaign, spec, last, may_begin=may_begin)
    if frozen is None:
        return
    confirmation = _confirm(session, frozen, may_begin=may_begin)
    apart = {name: _hold_out(session, campaign, spec, name, frozen, may_begin) for name in spec.held_out_arenas}
    is_settled = confirmation.is_settled and all(each.is_settled for each in apart.values())
    if is_settled or not (may_begin or is_busy):
        end_confirmed(session, campaign, frozen, confirmation, apart, overrun)
    elif may_begin:
        _pause_if_given_up(session, campaign, [loss.candidate_id for loss in confirmation.losses])


def _goes_on_alone(session: Session, campaign: Campaign, spec: CampaignSpec, last: Evaluation) -> bool:
    """Whether the candidate is still on its way to where others matter: its round's halving, the screen, the end."""
    search = get_arena_of(session, campaign.id, spec.arena)
    arena = session.get_one(Arena, last.arena_id)
    is_searched = arena.id == search.id and find_freeze(session, campaign, search.id) is None
    if not is_searched:
        return False
    field = read_field(session, campaign.id, spec, arena, only=[last.candidate_id])
    if not field.entries or field.entries[0].is_cut or field.entries[0].course.tuning.is_complete:
        return False
    return schedule_missing(session, campaign.id, field) > 0 or bool(field.entries[0].record.in_motion)


def _search(
    session: Session, campaign: Campaign, spec: CampaignSpec, last: Evaluation | None, *, may_begin: bool
) -> Freeze | None:
    """Tune, screen and freeze in the search arena. None before that is done, and where the campaign ends without.

    In an extension that accepts nothing new it is what was frozen before.
    """
    arena = get_arena_of(session, campaign.id, spec.arena)
    frozen = find_freeze(session, campaign, arena.id)
    if frozen is not None:
        if last is None or (last.arena_id == arena.id and last.purpose is not Purpose.CONFIRM):
            project_screen(session, campaign.id, read_field(session, campaign.id, spec, arena))
        return frozen
    field = tune_and_screen(session, campaign.id, spec, arena)
    project_screen(session, campaign.id, field)
    if may_begin and field.reference is not None and field.reference.is_unranked:
        # Before its round is closed, for without the reference nothing that is proposed can be compared with anything.
        _pause_if_given_up(session, campaign, [field.reference.candidate_id])
        return None
    close_rounds(session, campaign.id, field)
    if not (is_search_over(session, campaign.id) and is_screened(field)):
        return None
    before = find_last_freeze(session, campaign, arena.id)
    if before is not None and not has_new_finalist(session, before, spec, field):
        # The same losses on other draws would only be another chance for each of them. What is lacking of the draws
        # that were sealed, because time ran out, is no second one.
        return before
    try:
        frozen = freeze_search(session, campaign, spec, field)
    except TooFewDraws as error:
        told = tell_too_few(str(error), arena=arena.name, looked_at=field.looked_at)
        end_unconfirmed(session, campaign, arena, told)
        return None
    if frozen is None:
        cut = find_cut(session, campaign.id)
        why = _tell_why_none(field, spec)
        end_unconfirmed(session, campaign, arena, f"{why} The search was cut: {cut}" if cut else why)
    return frozen


def _hold_out(
    session: Session, campaign: Campaign, spec: CampaignSpec, name: str, search: Freeze, may_begin: bool
) -> Apart:
    """Tune anew in a held-out arena, freeze and confirm there."""
    arena = get_arena_of(session, campaign.id, name)
    frozen = find_freeze(session, campaign, arena.id, search.extension)
    if frozen is None:
        only = [each.candidate_id for each in list_frozen(session, search)]
        field = read_field(session, campaign.id, spec, arena, only=only, is_held_out=True)
        if may_begin:
            schedule_missing(session, campaign.id, field)
        if not is_screened(field) or any(entry.is_unranked for entry in field.entries):
            return Apart(is_settled=False)
        try:
            frozen = freeze_held_out(session, campaign, spec, field, search)
        except TooFewDraws as error:
            return Apart(is_settled=True, lack=str(error))
        if frozen is None:
            return Apart(True, tell_untrained([each.name for each in field.entries if not each.course.tuning.settings]))
    lost = list_left_out(session, search, frozen)
    return Apart(_confirm(session, frozen, may_begin=may_begin).is_settled, tell_untrained(lost) if lost else None)


def _confirm(session: Session, frozen: Freeze, *, may_begin: bool) -> Confirmation:
    confirmation = read_confirmation(session, frozen)
    if may_begin:
        schedule_confirmation(session, frozen, confirmation)
    board = Board(frozen.arena_id, Purpose.CONFIRM, frozen.extension)
    write_board(session, frozen.campaign_id, board, score_confirmed(confirmation))
    return confirmation


def _pause_if_given_up(session: Session, campaign: Campaign, candidate_ids: Collection[UUID]) -> None:
    """Where nothing is under way and these lack a training that we gave up on: only a person has it tried again.

    Every time anew, and with all of them, or a campaign would end by our own fault without having said so.
    """
    moving = (EvaluationStatus.QUEUED, EvaluationStatus.RUNNING)
    ours = select(Evaluation.id).where(Evaluation.campaign_id == campaign.id).order_by(Evaluation.id)
    if session.scalars(ours.where(Evaluation.status.in_(moving)).limit(1)).first() is not None:
        return
    given_up = (Evaluation.candidate_id.in_(candidate_ids), Evaluation.status == EvaluationStatus.ABANDONED)
    lacking = session.scalars(ours.where(*given_up)).all()
    if lacking:
        why = (
            "Nothing can be decided without these evaluations, on which the service gave up:"
            f" {', '.join(map(str, lacking))}. Have each tried again (POST /v1/evaluations/ID:retry), then resume."
        )
        move(session, campaign, CampaignStatus.PAUSED, why)


def _tell_why_none(field: Field, spec: CampaignSpec) -> str:
    reference = field.reference
    scores = score_field(field)
    came_through = {key for key, score in scores.items() if score.interval is not None}
    if reference is None:
        lack = Lack.REFERENCE
    elif not field.has_reference:
        lack = Lack.REFERENCE_MEASURED
    elif any(each.candidate_id in came_through for each in field.entries if each.author is not Author.LIBRARY):
        lack = Lack.UNKNOWN
    else:
        lack = Lack.SCREENED
    return tell_no_finalist(lack, reference=spec.reference, arena=field.arena.name, looked_at=field.looked_at)
