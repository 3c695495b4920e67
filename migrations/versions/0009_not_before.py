"""When an endpoint wants to be asked again, and how often a question was put off for that."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("exchange", sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))
    op.add_column("exchange", sa.Column("deferrals", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("exchange", "deferrals")
    op.drop_column("exchange", "not_before")
