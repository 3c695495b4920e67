"""What a campaign has come to, in rows that may not depend on who was faster, nor on what was lost meanwhile."""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import (
    Arena,
    Campaign,
    Candidate,
    Evaluation,
    Finalist,
    Freeze,
    Proposal,
    Round,
    Seal,
    Standing,
)


class FinalRows(NamedTuple):
    """Without ids and times."""

    rounds: list[Any]
    proposals: list[Any]
    candidates: list[Any]
    trained: list[Any]
    frozen: list[Any]
    standings: list[Any]
    reason: list[Any]

    def list_differing(self, other: "FinalRows") -> list[str]:
        """The kinds of rows that are not the same."""
        return [name for name in self._fields if getattr(self, name) != getattr(other, name)]


def read_rows(session: Session, campaign_id: UUID) -> FinalRows:
    rounds = select(Round.number, Round.snapshot_rounds, Round.stopped_slots)
    asked = (
        select(Round.number, Proposal.slot, Proposal.proposer, Proposal.status, Proposal.request)
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign_id)
    )
    frozen = select(Freeze.plan, Seal.digest).join(Seal, Seal.freeze_id == Freeze.id)
    return FinalRows(
        rounds=_list(session, rounds.where(Round.campaign_id == campaign_id)),
        proposals=_list(session, asked),
        candidates=_list(
            session,
            _of_candidates(
                campaign_id, Candidate.name, Candidate.status, Candidate.source_sha256, Candidate.graph_sha256
            ),
        ),
        trained=_list(
            session,
            _of_candidates(
                campaign_id,
                *(Arena.name, Evaluation.setting_sha256, Evaluation.base_policy, Evaluation.purpose, Evaluation.draw),
                Evaluation.status,
            )
            .join(Evaluation, Evaluation.candidate_id == Candidate.id)
            .join(Arena, Arena.id == Evaluation.arena_id),
        ),
        frozen=[
            *_list(session, frozen.where(Freeze.campaign_id == campaign_id)),
            *_list(
                session,
                _of_candidates(campaign_id, Finalist.role, Finalist.rank, Finalist.setting).join(
                    Finalist, Finalist.candidate_id == Candidate.id
                ),
            ),
        ],
        standings=_list(
            session,
            _of_candidates(
                campaign_id,
                *(Arena.name, Standing.stage, Standing.extension, Standing.setting, Standing.draws),
                *(Standing.difference, Standing.lower, Standing.upper, Standing.verdict, Standing.figures),
            )
            .join(Standing, Standing.candidate_id == Candidate.id)
            .join(Arena, Arena.id == Standing.arena_id),
        ),
        reason=_list(session, select(Campaign.status_reason).where(Campaign.id == campaign_id)),
    )


def _of_candidates(campaign_id: UUID, *columns: Any) -> Any:
    """Under the place of each candidate."""
    return (
        select(Round.number, Proposal.slot, Candidate.turn, *columns)
        .select_from(Candidate)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign_id)
    )


def _list(session: Session, query: Any) -> list[Any]:
    return sorted((tuple(row) for row in session.execute(query)), key=str)
