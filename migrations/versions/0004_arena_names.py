"""When an arena was last registered, which is what its name goes by."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    registered_at = sa.Column(
        "registered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )
    op.add_column("arena", registered_at)
    op.execute("UPDATE arena SET registered_at = created_at")


def downgrade() -> None:
    op.drop_column("arena", "registered_at")
