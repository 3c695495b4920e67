"""The barrier of a round: twins among the losses that were judged beside each other, in the order of rounds and slots.

The gate has compared each loss with what its round sees. Who is the twin of whom among the others may not depend on
who was judged first, so it is settled once all of them are, and round after round.
"""

from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Campaign, Candidate, Proposal, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.domain.states import CampaignStatus, CandidateStatus, RoundStatus
from discovery_service.engine.campaigns import get_campaign
from discovery_service.engine.events import record
from discovery_service.engine.rounds import is_at_barrier, list_compared, read_rounds, set_status
from discovery_service.losses.fingerprints import VERSION
from workers.gate.road import tell_duplicate
from workers.gate.twins import Archive, find_twins, read_fingerprint

log = structlog.get_logger(__name__)


def settle_round(session: Session, round_id: UUID) -> UUID | None:
    """Its campaign; None where the round is not at its barrier, or the campaign does not run."""
    campaign = get_campaign(session, session.get_one(Round, round_id).campaign_id, lock=True)
    rounds = read_rounds(session, campaign.id)
    settled = next(each for each in rounds.values() if each.id == round_id)
    if campaign.status is not CampaignStatus.RUNNING or settled.status is not RoundStatus.GATING:
        return None
    if not is_at_barrier(session, settled, rounds.get(settled.number - 1)):
        return None
    _reject_twins(session, campaign, settled)
    set_status(session, settled, RoundStatus.EVALUATING)
    return campaign.id


def _reject_twins(session: Session, campaign: Campaign, settled: Round) -> None:
    family = Family(campaign.spec["family"])
    before: list[tuple[str, bytes]] = []
    for number, candidate in _list_accepted(session, settled):
        fingerprint = _find_fingerprint(candidate, family)
        if fingerprint is None:
            continue
        if number == settled.number and candidate.author.is_machine:
            twin = next((each for each in find_twins(fingerprint, Archive(before)) if each.is_twin), None)
            if twin is not None:
                refusal = tell_duplicate(twin).document()
                candidate.status = CandidateStatus.REJECTED
                candidate.refusal = {**refusal, "all": [refusal]}
                candidate.twin = twin.document() | {"library": None}
                facts = {
                    "name": candidate.name,
                    "code": refusal["code"],
                    "message": refusal["message"],
                    "twin": twin.name,
                }
                record(session, campaign.id, f"candidate.{CandidateStatus.REJECTED}", candidate.id, **facts)
                continue
        before.append((candidate.name, fingerprint))
    session.flush()


def _list_accepted(session: Session, settled: Round) -> list[tuple[int, Candidate]]:
    query = (
        select(Round.number, Candidate)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(
            Round.campaign_id == settled.campaign_id,
            Round.number.in_(list_compared(settled)),
            Candidate.status == CandidateStatus.ACCEPTED,
            Candidate.author != Author.LIBRARY,
        )
        .order_by(Round.number, Proposal.slot, Candidate.turn)
    )
    rows = session.execute(query, execution_options={"populate_existing": True})
    return [(number, candidate) for number, candidate in rows]


def _find_fingerprint(candidate: Candidate, family: Family) -> bytes | None:
    """None where it cannot be compared: the campaign goes on without."""
    raw = candidate.fingerprint
    try:
        if candidate.fingerprint_version != VERSION or raw is None:
            raise ValueError(f"its fingerprint is of version {candidate.fingerprint_version}, here it is {VERSION}")
        read_fingerprint(raw, family)
    except ValueError as error:
        log.warning("gate.fingerprint_skipped", candidate=str(candidate.id), reason=str(error))
        return None
    return raw
