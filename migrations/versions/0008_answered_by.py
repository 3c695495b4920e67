"""Who answered a question, by its own account, beside whom the campaign's spec had named to be asked.

Events have told it all along, so that what was asked before has it too. Of a recording nobody is named beforehand.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TOLD = """
UPDATE exchange SET answered_by = event.payload ->> 'model' FROM event
WHERE event.subject_id = exchange.id AND event.kind = 'exchange.answered'
"""
NAMED_BY_NOBODY = """
UPDATE exchange SET model = NULL FROM proposal
WHERE proposal.id = exchange.proposal_id AND proposal.proposer = 'recorded'
"""
NAMED_BY_ITSELF = """
UPDATE exchange SET model = answered_by FROM proposal
WHERE proposal.id = exchange.proposal_id AND proposal.proposer = 'recorded'
"""


def upgrade() -> None:
    op.add_column("exchange", sa.Column("answered_by", sa.String(), nullable=True))
    op.execute(TOLD)
    op.execute(NAMED_BY_NOBODY)


def downgrade() -> None:
    op.execute(NAMED_BY_ITSELF)
    op.drop_column("exchange", "answered_by")
