"""Round 0: the known losses of a campaign, which pass the gate and are tuned and screened like any other.

Where an arena's calibration ships a loss's settings, which the same plan found, the loss takes these instead of being
tuned. That is decided once, when the library enters, and written into its proposals: a later calibration changes none.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, Campaign, Candidate, Proposal, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.measuring import Setting
from discovery_service.domain.states import CandidateStatus, ProposalStatus, RoundStatus
from discovery_service.engine.dispatch import ring
from discovery_service.engine.events import record
from discovery_service.engine.work import CANDIDATE
from discovery_service.losses.known import KnownLoss, list_known
from discovery_service.losses.shipped import list_shipped

Shipped = Mapping[str, Mapping[str, Sequence[Setting]]]
"""By an arena's content and a loss's name."""


def list_library(spec: CampaignSpec) -> list[KnownLoss]:
    """Those that its spec names, in the order in which the family's losses are shown."""
    return [each for each in list_known(spec.family) if spec.library == "all" or each.name in spec.library]


def find_shipped(spec: CampaignSpec, arenas: Iterable[Arena]) -> Shipped:
    """What a library that enters now takes from these arenas' calibrations."""
    names = {each.name for each in list_library(spec)}
    found = {each.content_sha256: list_shipped(each.spec, each.calibration) for each in arenas}
    return {
        arena: {name: settings for name, settings in losses.items() if name in names} for arena, losses in found.items()
    }


def read_shipped(session: Session, campaign_id: UUID) -> Shipped:
    """What this campaign's library has taken."""
    query = (
        select(Candidate.name, Proposal.request["settings"])
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign_id, Round.number == LIBRARY_ROUND)
    )
    found: dict[str, dict[str, Sequence[Setting]]] = defaultdict(dict)
    for name, by_arena in session.execute(query):
        for arena, settings in (by_arena or {}).items():
            found[arena][name] = [Setting(**each) for each in settings]
    return found


def open_library(session: Session, campaign: Campaign, spec: CampaignSpec, shipped: Shipped) -> Round:
    """Nobody is asked for these: their sources go to the gate at once."""
    made = Round(campaign_id=campaign.id, number=LIBRARY_ROUND, status=RoundStatus.GATING)
    session.add(made)
    session.flush()
    library = list_library(spec)
    record(session, campaign.id, "round.opened", made.id, number=LIBRARY_ROUND, proposals=len(library), sees=[])
    for slot, known in enumerate(library):
        author = Author.LIBRARY.value
        proposal = Proposal(
            round_id=made.id,
            slot=slot,
            proposer=author,
            status=ProposalStatus.ANSWERED,
            request=_tell_settings(known.name, shipped),
        )
        session.add(proposal)
        session.flush()
        add_candidate(session, campaign, proposal, name=known.name, source=known.text)
    return made


def _tell_settings(name: str, shipped: Shipped) -> dict[str, Any]:
    found = {arena: [each.document() for each in losses[name]] for arena, losses in shipped.items() if name in losses}
    return {"settings": found} if found else {}


def add_candidate(
    session: Session, campaign: Campaign, proposal: Proposal, *, name: str, source: str, turn: int = 0, **values: object
) -> Candidate:
    """One that stands before the gate."""
    candidate = Candidate(
        campaign_id=campaign.id,
        proposal_id=proposal.id,
        turn=turn,
        name=name,
        author=Author(proposal.proposer),
        source=source,
        source_sha256=hashlib.sha256(source.encode()).hexdigest(),
        **values,
    )
    session.add(candidate)
    session.flush()
    record(session, campaign.id, f"{CANDIDATE.name}.{CandidateStatus.PROPOSED}", candidate.id, name=name)
    ring(session, CANDIDATE, candidate.id)
    return candidate
