"""One candidate of a campaign through the gate: claimed, read, judged, and what was found written to its row.

Whatever fails on our side ends the attempt as a crash with its reason; nothing here is the candidate's fault.
"""

from functools import cache
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Campaign, Candidate, Proposal, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.domain.isolation import Level
from discovery_service.domain.states import CandidateStatus
from discovery_service.engine.claim import Claim, claim, crash, finish
from discovery_service.engine.heartbeat import heartbeat
from discovery_service.engine.work import CANDIDATE
from discovery_service.losses.fingerprints import VERSION
from workers.gate.archives import CampaignArchives, Surroundings, library_archive
from workers.gate.road import Passed, Submission, Verdict, pass_gate
from workers.gate.twins import find_twins
from workers.process import get_sessions, task_unit
from workers.supervisor.jail import Jail, JailUnavailable

log = structlog.get_logger(__name__)


def judge_candidate(jail: Jail, worker_id: UUID, candidate_id: UUID) -> UUID | None:
    """Its campaign. Nothing happens where another worker was faster, or the campaign does not run."""
    with task_unit() as session:
        held = claim(session, CANDIDATE, candidate_id, worker_id, isolation=jail.isolation.level)
    if held is None:
        return None
    try:
        _judge(jail, held)
    except JailUnavailable as error:
        _give_up(held, str(error))
    except Exception as error:
        log.exception("gate.failed", candidate=str(held.id))
        _give_up(held, f"the gate failed: {type(error).__name__}: {error}")
    return held.campaign_id


def _judge(jail: Jail, held: Claim) -> None:
    with heartbeat(get_sessions(), held) as beating:
        with task_unit() as session:
            submission, surroundings, demanded = _read(session, held)
        verdict = pass_gate(jail, submission, get_archives().get(surroundings))
    level = verdict.isolation.level
    if not level.reaches(demanded):
        # A jail that lost its zygote meanwhile started another.
        raise JailUnavailable(f"The campaign demands a jail of level {demanded}; it has fallen to {level}.")
    if beating.lost.is_set():
        return
    with task_unit() as session:
        if beating.cancel_requested.is_set():
            finish(session, held, CandidateStatus.CANCELLED)
            return
        status = CandidateStatus.ACCEPTED if verdict.is_accepted else CandidateStatus.REJECTED
        finish(session, held, status, told=_told(verdict), **_columns(verdict, surroundings.itself))


def _give_up(held: Claim, reason: str) -> None:
    with task_unit() as session:
        crash(session, held, reason)


@cache
def get_archives() -> CampaignArchives:
    return CampaignArchives(get_sessions())


def _read(session: Session, held: Claim) -> tuple[Submission, Surroundings, Level]:
    query = (
        select(Candidate, Campaign.spec, Round.snapshot_rounds)
        .join(Campaign, Campaign.id == Candidate.campaign_id)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(Candidate.id == held.id)
    )
    candidate, spec, snapshot = session.execute(query).one()
    family = Family(spec["family"])
    submission = Submission(
        candidate.source,
        family,
        name=candidate.name,
        values=candidate.values,
        may_be_twin=not candidate.author.is_machine,
    )
    surroundings = Surroundings(
        campaign_id=held.campaign_id,
        family=family,
        library=spec.get("library", "all"),
        rounds=snapshot,
        itself=candidate.name if candidate.author is Author.LIBRARY else None,
    )
    # What the campaign leaves open, the worker's own minimum decided before the claim.
    return submission, surroundings, Level(spec.get("isolation") or Level.UNAVAILABLE)


def _told(verdict: Verdict) -> dict[str, Any]:
    """What the event says beside the status."""
    code = {"code": verdict.refusals[0].code.value} if verdict.refusals else {}
    twin = {"twin": verdict.twin.name} if verdict.twin else {}
    return code | twin


def _columns(verdict: Verdict, itself: str | None) -> dict[str, Any]:
    refusals = [each.document() for each in verdict.refusals]
    columns: dict[str, Any] = {
        "refusal": {**refusals[0], "all": refusals} if refusals else None,
        "isolation": verdict.isolation.document(),
    }
    if verdict.passed is not None:
        columns |= _found(verdict.passed, itself)
    if verdict.twin is not None:
        known = verdict.passed.known if verdict.passed else None
        columns["twin"] = verdict.twin.document() | {"library": known}
    return columns


def _found(passed: Passed, itself: str | None) -> dict[str, Any]:
    return {
        "graph": passed.graph.document(),
        "graph_sha256": passed.graph_sha256,
        "torch_version": passed.graph.torch_version,
        "fingerprint": passed.fingerprint,
        "fingerprint_version": VERSION,
        "passport": {**passed.passport, "curve": passed.curve},
        "formula": passed.formula,
        "readable_source": passed.checked.text,
        "check_vectors": passed.check_vectors,
        "neighbours": _list_neighbours(passed, itself),
    }


def _list_neighbours(passed: Passed, itself: str | None) -> list[dict[str, Any]]:
    """With the known losses that it is a twin of outside its campaign's library: elsewhere it is no discovery."""
    named = {itself, *(each.name for each in passed.neighbours)}
    known = find_twins(passed.fingerprint, library_archive(passed.graph.family))
    found = [each.document() for each in passed.neighbours]
    found += [each.document() | {"is_outside": True} for each in known if each.is_twin and each.name not in named]
    return sorted(found, key=lambda each: -each["cosine"])
