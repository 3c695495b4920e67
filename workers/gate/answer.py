"""A verdict as the document that the command prints and that a dry run over the API answers."""

from typing import Any

from workers.gate.road import Verdict
from workers.supervisor.isolation import Isolation


def describe_verdict(verdict: Verdict) -> dict[str, Any]:
    first = verdict.refusals[0] if verdict.refusals else None
    passed = verdict.passed
    return {
        "status": "accepted" if verdict.is_accepted else "refused",
        "code": first.code.value if first else None,
        "message": first.message if first else None,
        "line": first.line if first else None,
        "refusals": [each.document() for each in verdict.refusals],
        "name": passed.checked.entry if passed else None,
        "graph_sha256": passed.graph_sha256 if passed else None,
        "formula": passed.formula if passed else None,
        "graph_text": passed.graph_text if passed else None,
        "passport": passed.passport if passed else None,
        "neighbours": [each.document() for each in passed.neighbours] if passed else [],
        "isolation": verdict.isolation.level.value,
    }


def describe_refusal(isolation: Isolation, code: str, message: str) -> dict[str, Any]:
    """A reply without a source."""
    refusal = {"code": code, "message": message, "line": None}
    return {**_NOTHING, **refusal, "status": "refused", "refusals": [refusal], "isolation": isolation.level.value}


def describe_unavailable(isolation: Isolation, reason: str) -> dict[str, Any]:
    """Our side could not judge; the candidate is not to blame."""
    told = {"status": "unavailable", "code": "jail_unavailable", "message": reason}
    return {**_NOTHING, **told, "isolation": isolation.level.value}


_NOTHING: dict[str, Any] = {
    "status": "",
    "code": None,
    "message": None,
    "line": None,
    "refusals": [],
    "name": None,
    "graph_sha256": None,
    "formula": None,
    "graph_text": None,
    "passport": None,
    "neighbours": [],
}
