"""Reads where a loss comes from and what came of it: its relatives, of which there may be too many to show."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from discovery_service.db.queries import is_arena
from discovery_service.db.standings import read_standings
from discovery_service.db.tables import Arena, Campaign, Candidate, Lineage, Proposal, Round, Standing
from discovery_service.domain.authors import Author
from discovery_service.domain.states import CandidateStatus, Purpose
from discovery_service.losses.changes import MOST_CHARACTERS

MOST_RELATIVES = 50
"""To either side; whatever the whole campaign descends from has them by the thousand."""

_Key = InstrumentedAttribute[UUID]


class Member(NamedTuple):
    id: UUID
    name: str
    author: Author
    status: CandidateStatus
    round: int
    slot: int
    turn: int
    source: str
    """Readable where it has passed the gate; of one that is too long to be compared, its beginning."""


@dataclass(frozen=True)
class Relative:
    member: Member
    generation: int
    """Below 0 of an ancestor, above 0 of a descendant: by so many steps at least."""
    screen: Standing | None
    confirm: Standing | None
    """In the arena of the search, of the last freeze that it was in."""


@dataclass(frozen=True)
class Kin:
    relatives: Sequence[Relative]
    """Itself among them, by generation, round and slot."""
    descents: Sequence[Lineage]
    """Every one between two of these."""
    are_ancestors_cut: bool
    are_descendants_cut: bool


def read_kin(session: Session, candidate: Candidate, campaign: Campaign) -> Kin:
    """The nearest ones on either side, in as many queries however many there are."""
    above = _walk(session, candidate.id, start=Lineage.child_id, end=Lineage.parent_id)
    below = _walk(session, candidate.id, start=Lineage.parent_id, end=Lineage.child_id)
    keys = {candidate.id, *above[:MOST_RELATIVES], *below[:MOST_RELATIVES]}
    between = (Lineage.child_id.in_(keys), Lineage.parent_id.in_(keys))
    descents = session.scalars(select(Lineage).where(*between).order_by(Lineage.child_id, Lineage.parent_id)).all()
    generations = _count_generations(candidate.id, descents)
    is_there = Standing.arena_id.in_(select(Arena.id).where(is_arena(campaign.spec["arena"])))
    standings = read_standings(session, keys, is_there, with_figures=False)
    relatives = [
        Relative(
            each,
            generations[each.id],
            standings.get((each.id, Purpose.SCREEN)),
            standings.get((each.id, Purpose.CONFIRM)),
        )
        for each in _read_members(session, keys)
    ]
    relatives.sort(key=lambda each: (each.generation, each.member.round, each.member.slot, each.member.turn))
    return Kin(relatives, descents, len(above) > MOST_RELATIVES, len(below) > MOST_RELATIVES)


def _walk(session: Session, candidate_id: UUID, *, start: _Key, end: _Key) -> list[UUID]:
    """The nearest first, and one more than are shown: PostgreSQL goes from generation to generation, and no further
    than it is asked for."""
    first = select(end.label("id")).where(start == candidate_id).cte("kin", recursive=True)
    kin = first.union(select(end).join(first, start == first.c.id))
    return list(session.scalars(select(kin.c.id).limit(MOST_RELATIVES + 1)))


def _count_generations(candidate_id: UUID, descents: Iterable[Lineage]) -> dict[UUID, int]:
    parents, children = defaultdict(list), defaultdict(list)
    for each in descents:
        parents[each.child_id].append(each.parent_id)
        children[each.parent_id].append(each.child_id)
    found = {candidate_id: 0}
    for links, step in ((parents, -1), (children, 1)):
        found |= _count_steps(candidate_id, links, step)
    return found


def _count_steps(candidate_id: UUID, links: Mapping[UUID, Sequence[UUID]], step: int) -> dict[UUID, int]:
    found, reached = {candidate_id: 0}, [candidate_id]
    while reached:
        generation = found[reached[0]] + step
        reached = list(dict.fromkeys(key for each in reached for key in links[each] if key not in found))
        found |= dict.fromkeys(reached, generation)
    return found


def _read_members(session: Session, keys: Collection[UUID]) -> list[Member]:
    source = func.left(func.coalesce(Candidate.readable_source, Candidate.source), MOST_CHARACTERS + 1)
    query = (
        select(
            *(Candidate.id, Candidate.name, Candidate.author, Candidate.status),
            *(Round.number, Proposal.slot, Candidate.turn, source),
        )
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(Candidate.id.in_(keys))
    )
    return [Member(*row) for row in session.execute(query)]
