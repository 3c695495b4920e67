"""What a campaign's progress tells of tokens and dollars: the sum of its exchanges, written whenever one is let go."""

from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from discovery_service.db.tables import CampaignProgress, Exchange
from discovery_service.domain.states import ExchangeStatus


def write_charges(session: Session, campaign_id: UUID) -> None:
    """Of all calls that have ended, also with their worker."""
    tokens = func.coalesce(Exchange.tokens_in, 0) + func.coalesce(Exchange.tokens_out, 0)
    ended = (Exchange.campaign_id == campaign_id, Exchange.status != ExchangeStatus.ASKING)
    session.execute(
        update(CampaignProgress)
        .where(CampaignProgress.campaign_id == campaign_id)
        .values(
            tokens=select(func.coalesce(func.sum(tokens), 0)).where(*ended).scalar_subquery(),
            cost_usd=select(func.coalesce(func.sum(Exchange.cost_usd), 0)).where(*ended).scalar_subquery(),
        )
        .execution_options(synchronize_session=False)
    )
