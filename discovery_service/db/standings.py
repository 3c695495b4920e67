"""How losses stand, and which confirmation of one counts where an extension of its campaign has frozen it again.

The last one that is whole. One that is under way, or that a budget of time has cut off, takes nothing from an earlier
verdict; where none is whole the last one tells how far it is.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import SQLColumnExpression, or_, select
from sqlalchemy.orm import Session, defer

from discovery_service.db.tables import Standing
from discovery_service.domain.states import Purpose


def is_whole(stands: type[Standing] = Standing) -> SQLColumnExpression[bool]:
    """A finalist's has whom it met, a reference's its means; before that, neither."""
    return or_(stands.figures.has_key("against"), stands.figures.has_key("means"))


def what_counts_last() -> tuple[SQLColumnExpression[bool], SQLColumnExpression[int]]:
    """An order of a loss's standings at one stage."""
    return is_whole(), Standing.extension.expression


def read_standings(
    session: Session, candidate_ids: Collection[UUID], is_there: SQLColumnExpression[bool], *, with_figures: bool = True
) -> dict[tuple[UUID, Purpose], Standing]:
    """Those that count, by loss and stage, in the arena of which `is_there` holds."""
    query = select(Standing).where(Standing.candidate_id.in_(candidate_ids), is_there).order_by(*what_counts_last())
    if not with_figures:
        query = query.options(defer(Standing.figures, raiseload=True))
    return {(each.candidate_id, Purpose(each.stage)): each for each in session.scalars(query)}
