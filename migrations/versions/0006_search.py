"""What an exchange may cost at most is kept in tokens too, beside dollars: a budget of either is held by it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("exchange", sa.Column("reserved_tokens", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("exchange", "reserved_tokens")
