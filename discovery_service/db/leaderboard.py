"""The leaderboard: losses with how they stand and what they cost, arena by arena, each page by its own index range.

A page is read as the board is shown: what was confirmed by its lower bound, then what was screened by its own, then
what has no difference. What stands beside a row is looked up for the rows of the page alone, so that a page takes as
long however many candidates there are.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, SQLColumnExpression, false, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased, load_only

from discovery_service.db.rounds import is_stopped
from discovery_service.db.standings import is_whole, read_standings
from discovery_service.db.tables import CUT, Arena, Campaign, Candidate, Evaluation, Exchange, Proposal, Round, Standing
from discovery_service.domain.authors import Author
from discovery_service.domain.states import CandidateStatus, Purpose
from discovery_service.errors import Unprocessable

WHO_ANSWERED = func.coalesce(Exchange.answered_by, Exchange.model)
"""By its own account; before there is one by its name in the spec, which says nothing outside of this service."""
# Graph, fingerprint and check vectors are 50 KB a loss that nobody asks for here.
_SHOWN = ("name", "author", "twin", "neighbours", "campaign_id", "proposal_id")


@dataclass(frozen=True)
class Cost:
    """Of one candidate: its trainings in all arenas, and its whole proposal, refused turns included."""

    evaluations: int = 0
    device_seconds: float = 0.0
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class Scored:
    """How a loss stands at one stage to the loss that the board is against."""

    stage: Purpose
    extension: int
    setting: Mapping[str, Any]
    draws: int
    difference: float | None
    lower: float | None
    upper: float | None
    verdict: str | None
    figures: Mapping[str, Any]
    base_policies: tuple[int, ...]

    @classmethod
    def of(cls, standing: Standing, policies: tuple[int, ...]) -> "Scored":
        return cls(
            stage=Purpose(standing.stage),
            extension=standing.extension,
            setting=standing.setting,
            draws=standing.draws,
            difference=standing.difference,
            lower=standing.lower,
            upper=standing.upper,
            verdict=standing.verdict,
            figures=standing.figures,
            base_policies=policies,
        )


class Part(StrEnum):
    """Of an arena's board, in the order in which they follow."""

    CONFIRMED = "confirmed"
    SCREENED = "screened"
    REST = "rest"


class Place(NamedTuple):
    """Of a row, behind which the next page begins."""

    arena_id: UUID
    part: Part
    lower: float
    campaign_id: UUID
    round: int
    slot: int
    position: int
    """How many rows of its arena's board are ranked so far; on a board against another loss than DPO, how many rows
    there are so far."""


@dataclass(frozen=True)
class BoardRow:
    candidate: Candidate
    campaign: str
    arena: str
    arena_sha256: str
    """Of its content: two versions of an arena are two."""
    round: int
    slot: int
    rank: int | None
    """By lower bound, the confirmed ones before those that are only screened; None without a difference."""
    model: str | None
    """Who answered in the last exchange of its proposal."""
    screen: Scored | None
    confirm: Scored | None
    """Of the last whole confirmation, else of the last that was begun."""
    cost: Cost
    is_cut: bool
    """A budget of time ended the search before it was screened."""
    is_stopped: bool
    """In the worse half of its round after the first trainings."""
    place: Place

    @property
    def counting(self) -> Scored | None:
        """By which it is ranked: what was confirmed, and where nothing was, what was screened."""
        for scored in (self.confirm, self.screen):
            if scored is not None and scored.lower is not None:
                return scored
        return None


@dataclass(frozen=True)
class Asked:
    """For which losses a board is."""

    arenas: Sequence[Arena]
    """Each has a board of its own, in this order: differences of two arenas do not compare."""
    campaign_ids: Collection[UUID] = ()
    """Of all campaigns where none is named."""
    stage: Purpose | None = None
    """What that has shown alone; else a loss counts by what was confirmed, where something was."""
    with_library: bool = True
    with_unscored: bool = False
    """Also accepted losses of these campaigns that have no standing: stopped, cut, or not that far yet."""


def list_board(session: Session, campaign_id: UUID, arena: Arena) -> list[BoardRow]:
    """The whole of one campaign in one arena."""
    return list(iterate_board(session, Asked([arena], [campaign_id], with_unscored=True)))


def iterate_board(session: Session, asked: Asked, *, rows_a_page: int = 1_000) -> Iterator[BoardRow]:
    after: Place | None = None
    while True:
        page = read_board(session, asked, after=after, limit=rows_a_page)
        yield from page
        if len(page) < rows_a_page:
            return
        after = page[-1].place


def read_board(session: Session, asked: Asked, *, after: Place | None, limit: int) -> list[BoardRow]:
    """The next rows behind `after`."""
    rows: list[BoardRow] = []
    behind = after
    for arena in _list_arenas(asked, after):
        ranked = 0 if behind is None else behind.position
        for part in _list_parts(asked, behind):
            query = _select(asked, arena, part, behind).limit(limit - len(rows))
            made = _read_rows(session, arena, part, session.execute(query).all(), ranked)
            rows += made
            ranked += 0 if part is Part.REST else len(made)
            behind = None
            if len(rows) == limit:
                return rows
        behind = None
    return rows


_NO_PLACE = "after: this board has no such place; take the `next` of the page before."
_STAGE_OF = {Part.CONFIRMED: Purpose.CONFIRM, Part.SCREENED: Purpose.SCREEN}


def _list_arenas(asked: Asked, after: Place | None) -> Sequence[Arena]:
    if after is None:
        return asked.arenas
    keys = [arena.id for arena in asked.arenas]
    if after.arena_id not in keys:
        raise Unprocessable(_NO_PLACE)
    return asked.arenas[keys.index(after.arena_id) :]


def _list_parts(asked: Asked, behind: Place | None) -> list[Part]:
    parts = [part for part in Part if part is Part.REST or asked.stage in (None, _STAGE_OF[part])]
    if behind is None:
        return parts
    if behind.part not in parts:
        raise Unprocessable(_NO_PLACE)
    return parts[parts.index(behind.part) :]


def _select(asked: Asked, arena: Arena, part: Part, behind: Place | None) -> Select[Any]:
    """Losses of one part of one arena's board, in order, with what its places are made of."""
    lower = Standing.lower if part is not Part.REST else None
    query = (
        select(Candidate, Campaign.name, Round, Proposal.slot, func.coalesce(Proposal.outcome.has_key(CUT), false()))
        .add_columns(func.coalesce(lower, 0.0))
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .join(Campaign, Campaign.id == Candidate.campaign_id)
        .where(Candidate.status == CandidateStatus.ACCEPTED, Campaign.deleted_at.is_(None))
        .options(load_only(*(getattr(Candidate, name) for name in _SHOWN)))
    )
    if not asked.with_library:
        query = query.where(Candidate.author != Author.LIBRARY)
    order = (Candidate.campaign_id, Round.number, Proposal.slot)
    at = behind and (behind.campaign_id, behind.round, behind.slot)
    if lower is None:
        query = query.where(*_is_rest(asked, arena), _is_of(asked, Candidate.campaign_id))
        query = query if at is None else query.where(tuple_(*order) > at)
        return query.order_by(*order)
    stage = _STAGE_OF[part]
    query = query.join(Standing, Standing.candidate_id == Candidate.id).where(
        *(Standing.arena_id == arena.id, Standing.stage == stage, lower.is_not(None)),
        *(_is_of(asked, Standing.campaign_id), _is_last(Standing)),
    )
    if part is Part.SCREENED and asked.stage is None:
        query = query.where(~_has_bound(arena, Purpose.CONFIRM))
    if behind is not None:
        # The first is where the index is entered.
        query = query.where(lower <= behind.lower, or_(lower < behind.lower, tuple_(*order) > at))
    return query.order_by(lower.desc().nulls_last(), *order)


def _is_of(asked: Asked, column: SQLColumnExpression[UUID]) -> SQLColumnExpression[bool]:
    """An index that is in order of the bound within one campaign is not so within several."""
    match list(asked.campaign_ids):
        case [one]:
            return column == one
        case []:
            return column.is_not(None)
        case several:
            return column.in_(several)


def _is_rest(asked: Asked, arena: Arena) -> Iterator[SQLColumnExpression[bool]]:
    """Without a difference by which it is ranked."""
    stages = list(_STAGE_OF.values()) if asked.stage is None else [asked.stage]
    yield from (~_has_bound(arena, stage) for stage in stages)
    if not asked.with_unscored:
        stands = aliased(Standing)
        here = (stands.candidate_id == Candidate.id, stands.arena_id == arena.id, stands.stage.in_(stages))
        yield select(stands.candidate_id).where(*here).exists()


def _has_bound(arena: Arena, stage: Purpose) -> SQLColumnExpression[bool]:
    """Of the confirmation that counts. As a subquery's value this would be the same, but the database takes such a
    value to be rare, and then looks through everything: 30 s at 100,000 candidates."""
    stands = aliased(Standing)
    of_stage = (stands.candidate_id == Candidate.id, stands.arena_id == arena.id, stands.stage == stage)
    return select(stands.candidate_id).where(*of_stage, stands.lower.is_not(None), _is_last(stands)).exists()


def _is_last(stands: type[Standing]) -> SQLColumnExpression[bool]:
    """None of the candidate there and at that stage is whole and of a later extension."""
    later = aliased(Standing)
    return ~(
        select(later.candidate_id)
        .where(later.candidate_id == stands.candidate_id, later.arena_id == stands.arena_id)
        .where(later.stage == stands.stage, later.extension > stands.extension, is_whole(later))
        .exists()
    )


def _read_rows(session: Session, arena: Arena, part: Part, found: Sequence[Any], ranked: int) -> list[BoardRow]:
    """With all that stands beside them."""
    if not found:
        return []
    keys = [row[0].id for row in found]
    standings = _read_standings(session, keys, arena)
    trainings = _read_trainings(session, keys)
    asked = _read_exchanges(session, [row[0].proposal_id for row in found])
    rows = []
    for candidate, campaign, made_in, slot, is_cut, lower in found:
        ranked += part is not Part.REST
        model, tokens, usd = asked.get(candidate.proposal_id, (None, 0, Decimal(0)))
        evaluations, seconds = trainings.get(candidate.id, (0, 0.0))
        rows.append(
            BoardRow(
                candidate,
                campaign,
                arena.name,
                arena.content_sha256,
                made_in.number,
                slot,
                None if part is Part.REST else ranked,
                model,
                standings.get((candidate.id, Purpose.SCREEN)),
                standings.get((candidate.id, Purpose.CONFIRM)),
                Cost(evaluations, seconds, tokens, usd),
                is_cut=is_cut,
                is_stopped=is_stopped(made_in.number, slot, made_in.stopped_slots),
                place=Place(arena.id, part, lower, candidate.campaign_id, made_in.number, slot, ranked),
            )
        )
    return rows


def _read_standings(session: Session, keys: Collection[UUID], arena: Arena) -> dict[tuple[UUID, Purpose], Scored]:
    policies = _read_policies(session, keys, arena)
    standings = read_standings(session, keys, Standing.arena_id == arena.id)
    return {at: Scored.of(each, policies.get(at, ())) for at, each in standings.items()}


def _read_policies(
    session: Session, keys: Collection[UUID], arena: Arena
) -> dict[tuple[UUID, Purpose], tuple[int, ...]]:
    """Under which each was trained, by stage."""
    query = (
        select(Evaluation.candidate_id, Evaluation.purpose, func.array_agg(Evaluation.base_policy.distinct()))
        .where(Evaluation.candidate_id.in_(keys), Evaluation.arena_id == arena.id)
        .where(Evaluation.measurement_id.is_not(None))
        .group_by(Evaluation.candidate_id, Evaluation.purpose)
    )
    return {(row[0], row[1]): tuple(sorted(row[2])) for row in session.execute(query)}


def _read_trainings(session: Session, keys: Collection[UUID]) -> dict[UUID, tuple[int, float]]:
    """Those that have ended: a reused one is charged as if it had been trained."""
    query = (
        select(Evaluation.candidate_id, func.count(), func.sum(Evaluation.device_seconds))
        .where(Evaluation.candidate_id.in_(keys), Evaluation.device_seconds.is_not(None))
        .group_by(Evaluation.candidate_id)
    )
    return {row[0]: (row[1], row[2] or 0.0) for row in session.execute(query)}


def _read_exchanges(session: Session, keys: Collection[UUID]) -> dict[UUID, tuple[str | None, int, Decimal]]:
    query = (
        select(Exchange.proposal_id, WHO_ANSWERED, Exchange.tokens_in, Exchange.tokens_out, Exchange.cost_usd)
        .where(Exchange.proposal_id.in_(keys))
        .order_by(Exchange.proposal_id, Exchange.turn)
    )
    found: dict[UUID, tuple[str | None, int, Decimal]] = {}
    for proposal_id, model, tokens_in, tokens_out, usd in session.execute(query):
        before, tokens, spent = found.get(proposal_id, (None, 0, Decimal(0)))
        found[proposal_id] = (model or before, tokens + (tokens_in or 0) + (tokens_out or 0), spent + (usd or 0))
    return found


def count_refused(session: Session, campaign_id: UUID) -> int:
    """Candidates that the gate did not let in; a corrected one was refused as often as it was corrected."""
    refused = (Candidate.campaign_id == campaign_id, Candidate.status == CandidateStatus.REJECTED)
    return session.scalars(select(func.count()).select_from(Candidate).where(*refused)).one()


def list_scored_arenas(session: Session, campaign_ids: Collection[UUID]) -> list[Arena]:
    """In which something stands, by name and the earlier version first."""
    stands = select(Standing.candidate_id).where(Standing.arena_id == Arena.id)
    if campaign_ids:
        stands = stands.where(Standing.campaign_id.in_(campaign_ids))
    return list(session.scalars(select(Arena).where(stands.exists()).order_by(Arena.name, Arena.created_at, Arena.id)))


def list_known_as(candidate: Candidate) -> list[str]:
    """The known losses that it behaves like, in its campaign's library or outside of it."""
    known = (candidate.twin or {}).get("library")
    outside = [each["name"] for each in candidate.neighbours or () if each.get("is_outside")]
    return [known, *outside] if known else outside
