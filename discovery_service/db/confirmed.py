"""Which confirmation of a loss counts, where an extension of its campaign has frozen it again.

The last one that is whole. One that is under way, or that a budget of time has cut off, takes nothing from an earlier
verdict; where none is whole the last one tells how far it is.
"""

from sqlalchemy import SQLColumnExpression, or_

from discovery_service.db.tables import Standing


def is_whole(stands: type[Standing] = Standing) -> SQLColumnExpression[bool]:
    """A finalist's has whom it met, a reference's its means; before that, neither."""
    return or_(stands.figures.has_key("against"), stands.figures.has_key("means"))


def what_counts_last() -> tuple[SQLColumnExpression[bool], SQLColumnExpression[int]]:
    """An order of a loss's standings at one stage."""
    return is_whole(), Standing.extension.expression
