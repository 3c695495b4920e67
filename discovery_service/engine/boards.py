"""Which boards are asked for, and a campaign's board against another known loss than its family's reference."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy.orm import Session

from discovery_service.db.leaderboard import Asked, BoardRow, Scored, list_board, list_scored_arenas
from discovery_service.db.tables import Arena
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.described_arenas import pinned_name
from discovery_service.domain.intervals import Interval
from discovery_service.domain.standings import score_screen
from discovery_service.domain.states import Purpose
from discovery_service.engine.arenas import choose_arena, get_arena_of
from discovery_service.engine.campaigns import get_campaign
from discovery_service.engine.entries import read_field
from discovery_service.errors import UnusableFields


def find_board_arena(session: Session, campaign_id: UUID, name: str | None) -> Arena:
    """That of the search unless one of the held-out ones is named."""
    campaign = get_campaign(session, campaign_id)
    return get_arena_of(session, campaign_id, choose_arena(campaign.spec, name))


def is_searched(session: Session, campaign_id: UUID, name: str | None) -> bool:
    """Whether that is where the campaign searches, and not one that it holds out."""
    spec = get_campaign(session, campaign_id).spec
    return choose_arena(spec, name) == spec["arena"]


def find_board_arenas(session: Session, campaign_ids: Collection[UUID], names: Collection[str]) -> list[Arena]:
    """In which losses of these campaigns stand, or of all; every version of those that are named."""
    for each in campaign_ids:
        get_campaign(session, each)
    arenas = list_scored_arenas(session, campaign_ids)
    called = {
        each.id: {each.name, each.name.partition(":")[0], pinned_name(each.name, each.content_sha256)}
        for each in arenas
    }
    unknown = [name for name in names if not any(name in each for each in called.values())]
    if unknown:
        there = ", ".join(dict.fromkeys(each.name for each in arenas)) or "none yet"
        raise UnusableFields({"arena": f"{unknown[0]} has no board: losses stand in {there}"})
    return [each for each in arenas if not names or called[each.id] & set(names)]


def list_board_against(session: Session, asked: Asked, name: str) -> list[BoardRow]:
    """One campaign's, ranked by the differences to a loss of its library.

    What was confirmed stands to the references that were frozen, and to nobody else; what was screened, to every loss
    that was screened on the same draws. Differences to another loss than the reference have no prior by which they
    could be shrunk: their intervals are those of their own variance.
    """
    if len(asked.campaign_ids) != 1:
        raise UnusableFields({"against": f"{name} is of one campaign's library: name one campaign"})
    [campaign_id] = asked.campaign_ids
    rows: list[BoardRow] = []
    for arena in asked.arenas:
        rows += _rank(_list_against(session, campaign_id, arena, name), asked)
    return [replace(row, place=row.place._replace(position=number)) for number, row in enumerate(rows, start=1)]


def _list_against(session: Session, campaign_id: UUID, arena: Arena, name: str) -> list[BoardRow]:
    board = list_board(session, campaign_id, arena)
    known = [row.candidate for row in board if row.candidate.author is Author.LIBRARY]
    reference = next((each for each in known if each.name == name), None)
    if reference is None:
        there = ", ".join(sorted(each.name for each in known)) or "none yet"
        raise UnusableFields({"against": f"{name} is no loss of this campaign's library; it has {there}"})
    screened = _score_screen(session, campaign_id, arena, reference.id)
    return [
        replace(
            row,
            screen=row.screen and _stand(row.screen, screened.get(row.candidate.id)),
            confirm=row.confirm and _meet(row.confirm, name),
        )
        for row in board
    ]


def _score_screen(session: Session, campaign_id: UUID, arena: Arena, reference_id: UUID) -> dict[UUID, Interval | None]:
    """Empty where nothing is screened, as in a held-out arena."""
    spec = CampaignSpec.model_validate(get_campaign(session, campaign_id).spec)
    field = read_field(session, campaign_id, spec, arena)
    trained = {entry.candidate_id: entry.trained for entry in field.entries}
    beside = trained.get(reference_id)
    return {
        key: score_screen(loss, None if key == reference_id else beside, field.occasions, None).interval
        for key, loss in trained.items()
        if loss is not None
    }


def _stand(scored: Scored, interval: Interval | None) -> Scored:
    if interval is None:
        return replace(scored, difference=None, lower=None, upper=None)
    return replace(scored, difference=interval.mean, lower=interval.low, upper=interval.high)


def _meet(scored: Scored, name: str) -> Scored:
    """As its confirmation against that reference says; of any other loss nothing was confirmed."""
    met = scored.figures.get("against", {}).get(name, {})
    return replace(scored, **{column: met.get(column) for column in ("difference", "lower", "upper", "verdict")})


def _at(row: BoardRow, stage: Purpose) -> Scored | None:
    return row.confirm if stage is Purpose.CONFIRM else row.screen


def _rank(rows: Sequence[BoardRow], asked: Asked) -> list[BoardRow]:
    def find_counting(row: BoardRow) -> Scored | None:
        scored = row.counting if asked.stage is None else _at(row, asked.stage)
        return None if scored is None or scored.lower is None else scored

    def find_place(row: BoardRow) -> tuple[bool, bool, float, int, int]:
        counting = find_counting(row)
        lower = None if counting is None else counting.lower
        is_screened = counting is None or counting.stage is not Purpose.CONFIRM
        return lower is None, is_screened, -(lower or 0.0), row.round, row.slot

    shown = [row for row in rows if _is_shown(row, asked)]
    ordered = sorted(shown, key=find_place)
    return [
        replace(row, rank=None if find_counting(row) is None else rank) for rank, row in enumerate(ordered, start=1)
    ]


def _is_shown(row: BoardRow, asked: Asked) -> bool:
    if row.candidate.author is Author.LIBRARY and not asked.with_library:
        return False
    if asked.stage is not None:
        return _at(row, asked.stage) is not None
    return asked.with_unscored or row.screen is not None or row.confirm is not None
