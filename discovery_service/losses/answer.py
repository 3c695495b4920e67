"""What the gate says of a source, as one document: `discovery gate` prints it, the API answers a dry run with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from discovery_service.losses.refusals import Refusal

UNAVAILABLE_CODE = "jail_unavailable"


class AnswerStatus(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    """Our side could not judge; the candidate is not to blame."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: AnswerStatus
    isolation: str | None
    """The level of the jail that judged; None where the text alone was enough for a refusal."""
    reason: str | None = None
    """Why nothing was judged."""
    refusals: Sequence[Refusal] = ()
    """The first one decides."""
    name: str | None = None
    graph_sha256: str | None = None
    formula: str | None = None
    graph_text: str | None = None
    passport: dict[str, Any] | None = None
    neighbours: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        first = self.refusals[0].document() if self.refusals else {"code": None, "message": None, "line": None}
        if self.status is AnswerStatus.UNAVAILABLE:
            first = {"code": UNAVAILABLE_CODE, "message": self.reason, "line": None}
        return {
            "status": self.status.value,
            **first,
            "refusals": [each.document() for each in self.refusals],
            "name": self.name,
            "graph_sha256": self.graph_sha256,
            "formula": self.formula,
            "graph_text": self.graph_text,
            "passport": self.passport,
            "neighbours": self.neighbours,
            "isolation": self.isolation,
        }


def refuse_by_text(refusals: Sequence[Refusal]) -> Answer:
    """Of a reply without a source, or of a source that the static check stops; no jail saw it."""
    return Answer(status=AnswerStatus.REFUSED, isolation=None, refusals=refusals)
