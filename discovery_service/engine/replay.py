"""Derives a campaign again from its stored rows, without a model or a device, and reports whatever differs.

Covered: what each round saw and how many were asked, their requests, prompts and repairs, what was read from replies,
the symbolic proposer's replies, halvings, freezes with their draws, and standings. Not covered, taken as they stand:
what models replied, what the gate found of a source, and what was measured.
"""

from uuid import UUID

from sqlalchemy.orm import Session

from discovery_service.domain.states import is_final
from discovery_service.engine.campaigns import get_campaign
from discovery_service.engine.findings import Findings
from discovery_service.engine.history import read_history
from discovery_service.engine.replay_rounds import Redraw, replay_rounds
from discovery_service.engine.replay_verdicts import replay_verdicts


def replay(session: Session, campaign_id: UUID, redraw: Redraw) -> Findings:
    """Nothing is to be committed: whoever calls this lets the transaction go."""
    campaign = get_campaign(session, campaign_id)
    findings = Findings()
    if not is_final(campaign.status):
        findings.note(f"The campaign is {campaign.status}: what has just been measured may not stand anywhere yet.")
    history = read_history(session, campaign)
    replay_rounds(session, campaign, history, findings, redraw)
    replay_verdicts(session, campaign, history, findings)
    return findings
