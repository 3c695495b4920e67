from enum import StrEnum

import pytest

from discovery_service.domain.states import (
    TRANSITIONS,
    CampaignStatus,
    CandidateStatus,
    EvaluationStatus,
    ExchangeStatus,
    ProposalStatus,
    RoundStatus,
    is_final,
    is_legal,
)
from discovery_service.engine.work import WORK_KINDS, WorkKind

INITIAL = {
    CampaignStatus: CampaignStatus.QUEUED,
    RoundStatus: RoundStatus.QUEUED,
    ProposalStatus: ProposalStatus.QUEUED,
    ExchangeStatus: ExchangeStatus.QUEUED,
    CandidateStatus: CandidateStatus.PROPOSED,
    EvaluationStatus: EvaluationStatus.QUEUED,
}


def reachable(start: StrEnum) -> set[StrEnum]:
    seen, ahead = {start}, [start]
    while ahead:
        fresh = set(TRANSITIONS[type(start)][ahead.pop()]) - seen
        seen |= fresh
        ahead += fresh
    return seen


@pytest.mark.parametrize("kind", TRANSITIONS)
def test_every_status_has_its_transitions_and_can_be_reached(kind: type[StrEnum]) -> None:
    assert set(TRANSITIONS[kind]) == set(kind)
    assert reachable(INITIAL[kind]) == set(kind)


@pytest.mark.parametrize("kind", TRANSITIONS)
def test_from_every_status_something_final_can_be_reached(kind: type[StrEnum]) -> None:
    assert all(any(is_final(end) for end in reachable(status)) for status in kind)


def test_nothing_final_goes_on_but_by_an_extension_a_repair_a_retry_or_as_a_twin() -> None:
    goes_on = {status for kind in TRANSITIONS for status in kind if is_final(status) and TRANSITIONS[kind][status]}
    assert goes_on == {
        CampaignStatus.COMPLETED,
        ProposalStatus.ANSWERED,
        CandidateStatus.ACCEPTED,
        EvaluationStatus.ABANDONED,
        EvaluationStatus.CANCELLED,
    }


def test_a_status_of_another_kind_is_no_target_although_it_reads_the_same() -> None:
    assert ExchangeStatus.CANCELLED == EvaluationStatus.CANCELLED  # both are the text "cancelled"
    assert is_legal(EvaluationStatus.RUNNING, EvaluationStatus.CANCELLED)
    assert not is_legal(EvaluationStatus.RUNNING, ExchangeStatus.CANCELLED)


@pytest.mark.parametrize("kind", WORK_KINDS, ids=lambda kind: kind.name)
def test_work_of_each_kind_can_be_held_given_back_cancelled_and_abandoned(kind: WorkKind) -> None:
    assert is_legal(kind.waiting, kind.held)
    assert is_legal(kind.waiting, kind.cancelled)
    assert all(is_legal(kind.held, target) for target in (kind.waiting, kind.cancelled, kind.abandoned))
    assert not is_legal(kind.waiting, kind.abandoned)
