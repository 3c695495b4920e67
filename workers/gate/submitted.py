"""What a person names at the terminal, known losses and files, through the gate together."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.errors import UsageError
from discovery_service.losses.known import list_known
from discovery_service.losses.refusals import Refused
from discovery_service.losses.source import check_source, tell_unused
from workers.gate.answer import answer_of, unavailable
from workers.gate.archives import library_archive
from workers.gate.command import read_loss
from workers.gate.process import make_jail
from workers.gate.road import Passed, Submission, pass_gate
from workers.supervisor.jail import Jail, JailUnavailable

_TOLD = ("status", "code", "message", "line", "refusals", "graph_sha256", "formula", "isolation")


@dataclass(frozen=True)
class Judged:
    answer: dict[str, Any]
    """What the gate says of it."""
    passed: Passed | None
    """Of an accepted one, what there is to train."""

    def summary(self) -> dict[str, Any]:
        """What of it other commands repeat; `discovery gate` tells it whole."""
        return {name: self.answer[name] for name in _TOLD}


def find_submissions(sources: Sequence[str], family: Family, values: Mapping[str, float]) -> list[Submission]:
    """Known losses by their names, else what is in the files. `values` are of what a file leaves open; UsageError for
    one that no file takes, as where there is neither loss nor file.
    """
    found = [_find(each, family, values) for each in sources]
    checked = []
    for each in found:
        # What is refused is told by the gate, which says all of it.
        with suppress(Refused):
            checked.append(check_source(each.source, family, name=each.name, values=each.values))
    unused = tell_unused(checked, values) if len(checked) == len(found) else None
    if unused is not None:
        raise UsageError(f"--set {unused}")
    return found


def _find(source: str, family: Family, values: Mapping[str, float]) -> Submission:
    if source in KNOWN_LOSSES[family]:
        text = next(known.text for known in list_known(family) if known.name == source)
        return Submission(text, family, name=source)
    if source.isidentifier() and not Path(source).exists():
        known = ", ".join(KNOWN_LOSSES[family])
        raise UsageError(f"{source} is neither a file nor a known loss of the family {family}: those are {known}.")
    return Submission(read_loss(source), family, values=values)


def judge(submissions: Sequence[Submission]) -> list[Judged]:
    """Each by itself, in one jail, which takes seconds to open."""
    with make_jail() as jail:
        return [_judge(jail, each) for each in submissions]


def _judge(jail: Jail, submission: Submission) -> Judged:
    try:
        verdict = pass_gate(jail, submission, library_archive(submission.family))
    except JailUnavailable as error:
        return Judged(unavailable(jail.isolation, str(error)).document(), None)
    return Judged(answer_of(verdict).document(), verdict.passed if verdict.is_accepted else None)
