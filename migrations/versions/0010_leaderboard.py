"""The leaderboard of an arena over all campaigns is read in the order of its bounds."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    order = ["arena_id", "stage", sa.text("lower DESC NULLS LAST")]
    op.create_index("ix_standing_board", "standing", order, unique=False)


def downgrade() -> None:
    op.drop_index("ix_standing_board", table_name="standing")
