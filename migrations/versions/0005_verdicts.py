"""Whom a round's halving has stopped; what is confirmed is confirmed at a setting with which it was frozen.

A reference may be frozen at several. Where one is, there is no way back: the older schema has no room for it.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEY = "pk_finalist"
RANK = "ck_finalist_rank_of_reference"
UNIQUE = "uq_finalist_freeze_id_candidate_id_setting"
BY_CANDIDATE = "fk_evaluation_seal_id_candidate_id"
BY_SETTING = "fk_evaluation_seal_id_candidate_id_setting"


def upgrade() -> None:
    op.add_column("round", sa.Column("stopped_slots", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.drop_constraint(BY_CANDIDATE, "evaluation", type_="foreignkey")
    op.add_column("finalist", sa.Column("rank", sa.Integer(), server_default="0", nullable=False))
    op.create_check_constraint(op.f(RANK), "finalist", "rank = 0 OR (rank > 0 AND role = 'reference')")
    op.drop_constraint(KEY, "finalist", type_="primary")
    op.create_primary_key(KEY, "finalist", ["freeze_id", "candidate_id", "rank"])
    op.create_unique_constraint(UNIQUE, "finalist", ["freeze_id", "candidate_id", "setting"])
    op.create_foreign_key(
        BY_SETTING,
        "evaluation",
        "finalist",
        ["seal_id", "candidate_id", "setting"],
        ["freeze_id", "candidate_id", "setting"],
    )


def downgrade() -> None:
    op.drop_constraint(BY_SETTING, "evaluation", type_="foreignkey")
    op.drop_constraint(UNIQUE, "finalist", type_="unique")
    op.drop_constraint(KEY, "finalist", type_="primary")
    op.create_primary_key(KEY, "finalist", ["freeze_id", "candidate_id"])
    op.drop_constraint(op.f(RANK), "finalist", type_="check")
    op.drop_column("finalist", "rank")
    op.create_foreign_key(
        BY_CANDIDATE, "evaluation", "finalist", ["seal_id", "candidate_id"], ["freeze_id", "candidate_id"]
    )
    op.drop_column("round", "stopped_slots")
