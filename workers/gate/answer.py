"""A verdict as the answer that is printed and sent."""

from discovery_service.losses.answer import Answer, AnswerStatus
from workers.gate.road import Verdict
from workers.supervisor.isolation import Isolation


def answer_of(verdict: Verdict) -> Answer:
    status = AnswerStatus.ACCEPTED if verdict.is_accepted else AnswerStatus.REFUSED
    passed = verdict.passed
    if passed is None:
        return Answer(status=status, isolation=verdict.isolation.level.value, refusals=verdict.refusals)
    return Answer(
        status=status,
        isolation=verdict.isolation.level.value,
        refusals=verdict.refusals,
        name=passed.checked.entry,
        graph_sha256=passed.graph_sha256,
        formula=passed.formula,
        graph_text=passed.graph_text,
        passport=passed.passport,
        neighbours=[each.document() for each in passed.neighbours],
    )


def unavailable(isolation: Isolation, reason: str) -> Answer:
    return Answer(status=AnswerStatus.UNAVAILABLE, isolation=isolation.level.value, reason=reason)
