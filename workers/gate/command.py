"""`discovery gate`: one source through the gate without a server, and what is told about it."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from discovery_service.domain.families import Family
from discovery_service.domain.isolation import Level
from discovery_service.errors import UsageError
from discovery_service.losses.answer import Answer, refuse_by_text
from discovery_service.losses.exported_source import take_loss
from discovery_service.losses.fingerprints import tell_beta
from discovery_service.losses.passport import describe_passport
from discovery_service.losses.refusals import Refusal, RefusalCode, Refused
from discovery_service.losses.source import check_source, tell_unused
from discovery_service.prompts.parse import ReplyFailure, parse_reply
from workers.gate.answer import answer_of, unavailable
from workers.gate.archives import library_archive
from workers.gate.process import make_jail
from workers.gate.road import Submission, pass_gate
from workers.supervisor.jail import JailUnavailable

MAX_BYTES = 4_000_000


def judge_file(file: str, family: Family, values: Mapping[str, float], *, is_reply: bool) -> dict[str, Any]:
    """What the gate says of the source, or of the reply, in the file. UsageError when it cannot be read.

    A reply's answer has the key `notes` too: what was repaired in it or left aside.
    """
    if not is_reply:
        return _judge(Submission(read_loss(file), family, values=values), is_persons=True).document()
    if values:
        raise UsageError("A reply says its hyper-parameters itself: leave --set or --reply out.")
    parsed = parse_reply(read_source(file))
    if isinstance(parsed, ReplyFailure):
        return refuse_by_text([Refusal(RefusalCode(parsed.code.value), parsed.message)]).document()
    submission = Submission(parsed.code, family, name=parsed.name or None, values=parsed.values)
    return {**_judge(submission, is_persons=False).document(), "notes": list(parsed.notes)}


def _judge(submission: Submission, *, is_persons: bool) -> Answer:
    try:
        # Before a jail is opened, which takes seconds.
        checked = check_source(submission.source, submission.family, name=submission.name, values=submission.values)
    except Refused as refused:
        return refuse_by_text(refused.refusals)
    unused = tell_unused([checked], submission.values) if is_persons else None
    if unused is not None:
        raise UsageError(f"--set {unused}")
    with make_jail() as jail:
        try:
            return answer_of(pass_gate(jail, submission, library_archive(submission.family)))
        except JailUnavailable as error:
            return unavailable(jail.isolation, str(error))


def read_loss(file: str) -> str:
    """As `read_source`; of a file that `discovery export` wrote the loss alone."""
    return take_loss(read_source(file))


def read_source(file: str) -> str:
    """What is in the file, or in standard input for `-`. UsageError when it cannot be read."""
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                raw = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{file} has more than {MAX_BYTES:,} bytes. A loss is one short function; is this its file?")
    # What is no UTF-8 becomes lone surrogates, which the gate refuses in its words.
    return raw.decode("utf-8", "surrogateescape")


def tell(answer: dict[str, Any]) -> Iterator[str]:
    """The answer for a person, line by line."""
    for note in answer.get("notes", ()):
        yield f"note: {note}"
    if answer["status"] == "unavailable":
        yield f"not judged: {answer['message']}"
        return
    for refusal in answer["refusals"]:
        where = f"line {refusal['line']}, " if refusal["line"] else ""
        yield f"refused: {where}{refusal['code']}: {refusal['message']}"
    if answer["status"] == "accepted":
        yield f"accepted: {answer['name']}, graph {answer['graph_sha256'][:12]}, isolation {answer['isolation']}"
    if answer["graph_text"] is not None:
        yield from _tell_graph(answer)


def _tell_graph(answer: dict[str, Any]) -> Iterator[str]:
    if answer["isolation"] != Level.FULL:
        yield "compiled, but not executed and compared with its graph: that wants a jail of the level full"
    if answer["formula"]:
        yield answer["formula"]
    yield ""
    yield answer["graph_text"].rstrip()
    yield ""
    yield from describe_passport(answer["passport"])
    yield ""
    for near in answer["neighbours"]:
        kind = "twin of" if near["is_twin"] else "near" if near["is_near"] else "unlike"
        where = tell_beta(near["beta_shift"], near.get("beta"))
        yield f"{kind:8}{near['name']:14} cosine {near['cosine']:.4f} {where}"
