"""Rounds that wait for their turn, with what a person ordered or proposed, and how often a campaign was extended.

There is no way back while a round waits: the older schema has no word for it.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STATUS = "ck_round_roundstatus"
BEFORE = ("proposing", "gating", "evaluating", "closed")


def upgrade() -> None:
    op.add_column("campaign", sa.Column("extension", sa.Integer(), server_default="0", nullable=False))
    op.add_column("round", sa.Column("ordered", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    _check_status(("queued", *BEFORE))


def downgrade() -> None:
    _check_status(BEFORE)
    op.drop_column("round", "ordered")
    op.drop_column("campaign", "extension")


def _check_status(statuses: Sequence[str]) -> None:
    allowed = ", ".join(f"'{each}'" for each in statuses)
    op.drop_constraint(op.f(STATUS), "round", type_="check")
    op.create_check_constraint(op.f(STATUS), "round", f"status IN ({allowed})")
