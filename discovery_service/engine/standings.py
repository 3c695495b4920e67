"""Standings as rows: written after each look at a campaign, and rebuilt from nothing but what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, all_, cast, delete, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, Campaign, Evaluation, Freeze, Standing
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.published import find_calibration
from discovery_service.domain.standings import Score
from discovery_service.domain.states import Purpose
from discovery_service.engine.confirm import read_confirmation, score_confirmed
from discovery_service.engine.entries import Field, read_field
from discovery_service.engine.screen import score_field


class Board(NamedTuple):
    """What its standings have in common within a campaign.

    There is one screen, which grows with each extension; what is confirmed belongs to the extension of its freeze.
    """

    arena_id: UUID
    stage: Purpose
    extension: int


@dataclass(frozen=True)
class Rebuilt:
    standings: int
    differed: int
    """From what was stored: other figures, missing, or of something that has none."""


def project_screen(session: Session, campaign_id: UUID, field: Field) -> int:
    return write_board(session, campaign_id, Board(field.arena.id, Purpose.SCREEN, 0), score_field(field))


def write_board(session: Session, campaign_id: UUID, board: Board, scores: Mapping[UUID, Score]) -> int:
    """Make the stored ones what they should be, and leave alone those that are; how many were not.

    The database compares, because a number may come back from it written otherwise.
    """
    gone = delete(Standing).where(
        Standing.campaign_id == campaign_id,
        Standing.arena_id == board.arena_id,
        Standing.stage == board.stage,
        Standing.extension == board.extension,
        Standing.candidate_id != all_(cast([*scores], ARRAY(Uuid))),
    )
    changed = len(session.scalars(gone.returning(Standing.candidate_id), execution_options=_PLAINLY).all())
    if not scores:
        return changed
    upsert = insert(Standing)
    moving = ("setting", "draws", "difference", "lower", "upper", "verdict", "figures")
    new = {name: upsert.excluded[name] for name in moving}
    upsert = upsert.on_conflict_do_update(
        constraint="pk_standing",
        set_={**new, "updated_at": func.now()},
        where=or_(*(getattr(Standing, name).is_distinct_from(value) for name, value in new.items())),
    )
    # Sent in parts: a statement has at most 65,535 parameters, and a board as many losses as a campaign.
    rows = [_columns(campaign_id, board, *each) for each in scores.items()]
    return changed + len(session.scalars(upsert.returning(Standing.candidate_id), rows).all())


_PLAINLY: dict[str, Any] = {"synchronize_session": False}


def _columns(campaign_id: UUID, board: Board, candidate_id: UUID, score: Score) -> dict[str, Any]:
    place = {"arena_id": board.arena_id, "stage": board.stage.value, "extension": board.extension}
    return {"candidate_id": candidate_id, "campaign_id": campaign_id, **place, **tell_score(score)}


def tell_score(score: Score) -> dict[str, Any]:
    """As its row has it."""
    interval = score.interval
    return {
        "setting": score.setting.document(),
        "draws": score.draws,
        "difference": None if interval is None else interval.mean,
        "lower": None if interval is None else interval.low,
        "upper": None if interval is None else interval.high,
        "verdict": score.verdict,
        "figures": dict(score.figures),
    }


def rebuild(session: Session, campaign_id: UUID) -> Rebuilt:
    """All standings of a campaign anew, in whatever state it is."""
    campaign = session.scalars(select(Campaign).where(Campaign.id == campaign_id).with_for_update(key_share=True)).one()
    for arena in session.scalars(select(Arena).where(Arena.id.in_(_arenas_screened_in(campaign_id)))).all():
        # Of a built-in one what this version of the package knows; a step takes what stands there.
        arena.calibration = find_calibration(arena.content_sha256) or arena.calibration
    boards = score_boards(session, campaign)
    differed = _delete_others(session, campaign_id, set(boards))
    differed += sum(write_board(session, campaign_id, board, scores) for board, scores in boards.items())
    return Rebuilt(sum(map(len, boards.values())), differed)


def score_boards(session: Session, campaign: Campaign) -> dict[Board, dict[UUID, Score]]:
    """All that its standings should say. Nothing is written."""
    spec, boards = CampaignSpec.model_validate(campaign.spec), {}
    for arena in session.scalars(select(Arena).where(Arena.id.in_(_arenas_screened_in(campaign.id)))).all():
        boards[Board(arena.id, Purpose.SCREEN, 0)] = score_field(read_field(session, campaign.id, spec, arena))
    for freeze in session.scalars(select(Freeze).where(Freeze.campaign_id == campaign.id)).all():
        scores = score_confirmed(read_confirmation(session, freeze))
        boards[Board(freeze.arena_id, Purpose.CONFIRM, freeze.extension)] = scores
    return boards


def _arenas_screened_in(campaign_id: UUID) -> Any:
    """By what was done, not by the spec: the name of a built-in arena means another content in another version."""
    screened = (Evaluation.campaign_id == campaign_id, Evaluation.purpose == Purpose.SCREEN)
    return select(Evaluation.arena_id).where(*screened)


def _delete_others(session: Session, campaign_id: UUID, boards: set[Board]) -> int:
    named = tuple_(Standing.arena_id, Standing.stage, Standing.extension)
    others = delete(Standing).where(Standing.campaign_id == campaign_id, named.not_in(boards))
    return len(session.scalars(others.returning(Standing.candidate_id), execution_options=_PLAINLY).all())
