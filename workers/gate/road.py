"""The road from a source to an accepted loss: static check, compile, verify, probe, execute and compare, twins.

Everything that reads a candidate's text beyond its syntax happens in the jail; here only what came out is looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from discovery_service.domain.families import Family
from discovery_service.domain.isolation import Level
from discovery_service.losses.canonical import canonicalise, hash_graph
from discovery_service.losses.fingerprints import tell_beta
from discovery_service.losses.formula import find_formula
from discovery_service.losses.graph import Graph, read_graph
from discovery_service.losses.printer import print_graph
from discovery_service.losses.refusals import Refusal, RefusalCode, Refused
from discovery_service.losses.source import CheckedSource, check_source, is_rewritten
from workers.gate.compare import compare
from workers.gate.examined import Examined, read_examined
from workers.gate.twins import Archive, Neighbour, find_known, find_twins
from workers.supervisor.isolation import Isolation
from workers.supervisor.jail import Jail
from workers.supervisor.verdict import printable


@dataclass(frozen=True)
class Passed:
    """An accepted loss, with all that is stored of it."""

    checked: CheckedSource
    graph: Graph
    graph_sha256: str
    formula: str | None
    graph_text: str
    passport: dict[str, Any]
    curve: dict[str, Any]
    fingerprint: bytes
    check_vectors: dict[str, Any]
    """Values and gradients of the graph on the fixed cases; an export proves itself against them."""
    neighbours: list[Neighbour]
    known: str | None
    """The loss of the library that it is a twin of, which need not be among the nearest."""


@dataclass(frozen=True)
class Verdict:
    isolation: Isolation
    refusals: tuple[Refusal, ...] = ()
    """Empty when the candidate is accepted; else the first one decides."""
    passed: Passed | None = None
    """None when the candidate was refused before there was a graph of it."""

    @property
    def is_accepted(self) -> bool:
        return not self.refusals

    @property
    def twin(self) -> Neighbour | None:
        near = self.passed.neighbours if self.passed else []
        return next((each for each in near if each.is_twin), None)


@dataclass(frozen=True)
class Submission:
    """What stands before the gate."""

    source: str
    family: Family
    name: str | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    may_be_twin: bool = True
    """A person's loss, or the library's, is accepted with its twin named; a machine's is refused."""


def pass_gate(jail: Jail, submission: Submission, archive: Archive) -> Verdict:
    """Raises JailUnavailable when our side cannot judge; every fault of the candidate is in the verdict."""
    try:
        checked = check_source(
            submission.source, submission.family, name=submission.name, values=dict(submission.values)
        )
        graph = read_graph(_ask(jail, "compile", _request(submission)).get("graph"))
        # What is trained is the graph of the hash, so it is what the source must agree with.
        examined = read_examined(_ask(jail, "examine", {"graph": canonicalise(graph).document()}), graph)
        _check_execution(jail, submission, checked, examined.check_vectors)
        passed = _describe(checked, graph, examined, archive)
    except Refused as refused:
        return Verdict(jail.isolation, refused.refusals)
    verdict = Verdict(jail.isolation, examined.refusals, passed)
    if verdict.is_accepted and verdict.twin is not None and not submission.may_be_twin:
        return Verdict(jail.isolation, (tell_duplicate(verdict.twin),), passed)
    return verdict


def _request(submission: Submission) -> dict[str, Any]:
    return {
        "source": submission.source,
        "family": submission.family.value,
        "name": submission.name,
        "values": dict(submission.values),
    }


def _ask(jail: Jail, job: str, request: dict[str, Any]) -> dict[str, Any]:
    outcome = jail.run(job, request)
    if outcome.refusal is not None:
        raise Refused(*_told(outcome.answer, outcome.refusal))
    if outcome.answer is None:
        raise Refused(Refusal(RefusalCode.JAIL_CRASH, "The loss made the process that examines it end without a word."))
    return outcome.answer


def _told(answer: Mapping[str, Any] | None, first: Refusal) -> tuple[Refusal, ...]:
    listed = (answer or {}).get("refused")
    told = _read_refusals(listed) if isinstance(listed, list) else ()
    return told or (first,)


def _read_refusals(documents: list[Any]) -> tuple[Refusal, ...]:
    """Of what a jailed child says nothing is believed that is not shaped as expected."""
    found = []
    for each in documents[:20]:
        try:
            line = each["line"]
            message = printable(str(each["message"]))[:1000]
            found.append(Refusal(RefusalCode(each["code"]), message, int(line) if line else None))
        except (TypeError, KeyError, ValueError):
            continue
    return tuple(found)


def _check_execution(jail: Jail, submission: Submission, checked: CheckedSource, computed: Mapping[str, Any]) -> None:
    """The Python as it was sent, and as it is stored, must do what the graph does. Only where the lock is complete."""
    if jail.isolation.level is not Level.FULL:
        return
    sent = submission.source if is_rewritten(submission.source, checked) else None
    executed = _ask(jail, "execute", {"checked": checked.document(), "sent": sent})
    refusal = compare(executed.get("stored"), computed)
    if refusal is None and sent is not None:
        refusal = _of_sent(compare(executed.get("sent"), computed))
    if refusal is not None:
        raise Refused(refusal)


def _of_sent(refusal: Refusal | None) -> Refusal | None:
    if refusal is None:
        return None
    why = "The source does something else than how it was read; for one, `x += y` changes every name of a tensor."
    return replace(refusal, message=f"{why} {refusal.message}")


def _describe(checked: CheckedSource, graph: Graph, examined: Examined, archive: Archive) -> Passed:
    return Passed(
        checked=checked,
        graph=graph,
        graph_sha256=hash_graph(graph),
        formula=find_formula(graph),
        graph_text=print_graph(graph),
        passport=examined.passport,
        curve=examined.curve,
        fingerprint=examined.fingerprint,
        check_vectors=examined.check_vectors,
        neighbours=find_twins(examined.fingerprint, archive),
        known=find_known(examined.fingerprint, archive),
    )


def tell_duplicate(twin: Neighbour) -> Refusal:
    at = "" if twin.beta is None and twin.beta_shift == 1 else f" {tell_beta(twin.beta_shift, twin.beta)}"
    return Refusal(
        RefusalCode.DUPLICATE,
        f"The loss behaves like {twin.name}{at} (cosine {twin.cosine:.4f}), which is known already; change what it "
        "does to the margin, not its scale.",
    )
