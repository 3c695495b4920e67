"""A dry run through the gate has what is sent beside the source: numbers for its hyper-parameters."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    values = sa.Column("values", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False)
    op.add_column("gate_check", values)


def downgrade() -> None:
    op.drop_column("gate_check", "values")
