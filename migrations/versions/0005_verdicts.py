"""Whom a round's halving has stopped; what is confirmed is confirmed at the setting with which it was frozen."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

UNIQUE = "uq_finalist_freeze_id_candidate_id_setting"
BY_CANDIDATE = "fk_evaluation_seal_id_candidate_id"
BY_SETTING = "fk_evaluation_seal_id_candidate_id_setting"


def upgrade() -> None:
    op.add_column("round", sa.Column("stopped_slots", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_unique_constraint(UNIQUE, "finalist", ["freeze_id", "candidate_id", "setting"])
    op.drop_constraint(BY_CANDIDATE, "evaluation", type_="foreignkey")
    op.create_foreign_key(
        BY_SETTING,
        "evaluation",
        "finalist",
        ["seal_id", "candidate_id", "setting"],
        ["freeze_id", "candidate_id", "setting"],
    )


def downgrade() -> None:
    op.drop_constraint(BY_SETTING, "evaluation", type_="foreignkey")
    op.create_foreign_key(
        BY_CANDIDATE, "evaluation", "finalist", ["seal_id", "candidate_id"], ["freeze_id", "candidate_id"]
    )
    op.drop_constraint(UNIQUE, "finalist", type_="unique")
    op.drop_column("round", "stopped_slots")
