"""The first stage: every loss is tuned by the same plan and screened, a round's worse half stops, standings follow."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, CampaignProgress, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.calibration import read_spread
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.halving import find_stopping
from discovery_service.domain.screening import Spread
from discovery_service.domain.standings import OwnSpread, Score, find_own_spread, score_screen
from discovery_service.engine.entries import JUDGED, Entry, Field, read_field
from discovery_service.engine.events import record
from discovery_service.engine.schedule import schedule


def tune_and_screen(session: Session, campaign_id: UUID, spec: CampaignSpec, arena: Arena) -> Field:
    """Schedule what the candidates still need in the search arena. The campaign is locked."""
    field = read_field(session, campaign_id, spec, arena)
    if _halve(session, campaign_id, field):
        field = read_field(session, campaign_id, spec, arena)
    schedule_missing(session, campaign_id, field)
    return field


def schedule_missing(session: Session, campaign_id: UUID, field: Field) -> int:
    wanted = [(entry.candidate_id, each) for entry in field.entries for each in entry.missing]
    return schedule(session, campaign_id, field.arena.id, wanted)


def is_screened(field: Field) -> bool:
    """Whether nobody has anything to be trained for any more before the freeze."""
    return all(entry.is_settled for entry in field.entries)


def is_search_over(session: Session, campaign_id: UUID) -> bool:
    """Whether nobody proposes any more, and no round's candidates are still proposed or judged.

    Between two rounds all that there are are judged: that alone is no end.
    """
    progress = session.get_one(CampaignProgress, campaign_id, populate_existing=True)
    if progress.search_over_at is None:
        return False
    statuses = set(session.scalars(select(Round.status).where(Round.campaign_id == campaign_id)))
    return bool(statuses) and statuses <= set(JUDGED)


def _halve(session: Session, campaign_id: UUID, field: Field) -> bool:
    """Write down whom each round's halving stops, once all of the round have tried every setting on the first draw.

    One that we gave up on does not hold up the others, and is not stopped: tried again later, it goes on.
    """
    has_halved = False
    waiting = (entry for entry in field.entries if not (entry.goes_on or entry.is_stopped or entry.is_cut))
    for round_id, group in groupby(waiting, key=lambda entry: entry.round_id):
        entries = list(group)
        stopped = find_stopped(entries)
        if stopped is None:
            continue
        session.execute(
            update(Round)
            .where(Round.id == round_id)
            .values(stopped_slots=stopped)
            .execution_options(synchronize_session=False)
        )
        names = [entry.name for entry in entries if entry.slot in stopped]
        record(session, campaign_id, "round.halved", round_id, stopped=stopped, names=names)
        has_halved = True
    return has_halved


def find_stopped(entries: Sequence[Entry]) -> list[int] | None:
    """The slots of a round that its halving stops; None before all of them have come as far."""
    if not all(entry.course.tuning.is_first_draw_done or entry.is_unranked for entry in entries):
        return None
    tried = {entry.slot: entry.course.tuning for entry in entries}
    bests = {slot: tuning.first_best for slot, tuning in tried.items() if tuning.is_first_draw_done}
    known = [entry.slot for entry in entries if entry.is_known]
    return sorted(find_stopping(bests, round_index=entries[0].round_number, known=known))


def find_library(arena: Arena) -> dict[str, Any] | None:
    """What its calibration says of the tuned library. None where nobody has calibrated it."""
    found: dict[str, Any] | None = (arena.calibration or {}).get("library")
    return found


def find_field_spread(field: Field) -> Spread | None:
    """Where nobody has calibrated the arena, fitted to what the library did in this very screen."""
    known = find_library(field.arena)
    if known is not None:
        return read_spread(known)
    own = find_screened_spread(field)
    return None if own is None else own.spread


def find_screened_spread(field: Field) -> OwnSpread | None:
    """Of the library in this very screen."""
    reference = field.reference
    if reference is None or reference.trained is None:
        return None
    library = [
        entry.trained
        for entry in field.entries
        if entry.author is Author.LIBRARY and not entry.is_reference and entry.trained is not None
    ]
    return find_own_spread(library, reference.trained, field.occasions)


def score_field(field: Field) -> dict[UUID, Score]:
    """The screen's standings, of all that have a chosen setting."""
    spread, occasions = find_field_spread(field), field.occasions
    reference = field.reference
    beside = reference.trained if reference is not None else None
    scores = {}
    for entry in field.entries:
        trained = entry.trained
        if trained is not None:
            against = None if entry.is_reference else beside
            score = score_screen(trained, against, occasions, spread)
            scores[entry.candidate_id] = replace(score, figures={**score.figures, "curve": _tell_curve(entry)})
    return scores


def _tell_curve(entry: Entry) -> list[dict[str, Any]]:
    """What its tuning has tried, from which the setting was chosen."""
    tried = entry.course.tuning.curve
    return [{"setting": each.setting.document(), "values": list(each.values)} for each in tried]
