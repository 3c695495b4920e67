"""What the gate found out about a candidate, and under which lock."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

AUTHORS = ("library", "human", "llm", "recorded", "symbolic")


def upgrade() -> None:
    op.alter_column("candidate", "author", type_=sa.String(20), existing_type=sa.String(), existing_nullable=False)
    op.create_check_constraint("author", "candidate", sa.column("author").in_(AUTHORS))
    values = sa.Column("values", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False)
    op.add_column("candidate", values)
    op.add_column("candidate", sa.Column("fingerprint_version", sa.Integer(), nullable=True))
    for name in ("neighbours", "isolation"):
        op.add_column("candidate", sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    # All that were made until now.
    op.execute("UPDATE candidate SET fingerprint_version = 1 WHERE fingerprint IS NOT NULL")


def downgrade() -> None:
    for name in ("isolation", "neighbours", "fingerprint_version", "values"):
        op.drop_column("candidate", name)
    op.drop_constraint(op.f("ck_candidate_author"), "candidate", type_="check")
    op.alter_column("candidate", "author", type_=sa.String(), existing_type=sa.String(20), existing_nullable=False)
