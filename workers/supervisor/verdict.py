"""What a child's end means: an answer, a refusal of the candidate, or a fault of ours.

A child that has run a candidate may have written anything but its first line, which it wrote before it looked at the
request: that line, and what the kernel tells of the end, may blame us. What is written later may do so in one way
only, by naming a module that was not loaded before the lock; who forges that is asked again and not accepted.
"""

import json
import os
import signal
from typing import Any, TypeGuard

from discovery_service.losses.refusals import Refusal, RefusalCode, Refused, refuse
from workers.jail.jobs import JOBS
from workers.jail.messages import Ended, LockReport, Order
from workers.supervisor.zygote import Child

MOST_REFUSALS = 100
MOST_MESSAGE = 500
MOST_LINES = 10_000
# A child maps less of the files that the zygote has read: one that has more memory than that takes its own part.
GREEDY_BYTES = 64 << 20
CPU_MARGIN_S = 0.5


class ChildLost(Exception):
    """The child did not come to do its job, or somebody else ended it: not the candidate's doing."""


class ChildUnequipped(ChildLost):
    """The child needed what it can no longer load: another one would not do better."""


class ChildStarved(ChildLost):
    """Others had the processors for half of the child's time: it may do what it is asked in a longer one."""


def read_lock(child: Child) -> LockReport:
    """How the child locked itself. Raises ChildLost when it could not."""
    line, newline, _ = child.result.partition(b"\n")
    if not newline:
        how = "it was too late" if child.ended.was_late else _describe(child.ended.status)
        raise ChildLost(f"a child ended before it was locked ({how})")
    report = LockReport.decode(line)
    if report.failure is not None:
        raise ChildLost(f"the lock cannot be completed: {report.failure}")
    return report


def read_answer(child: Child, order: Order, zygote_rss_bytes: int) -> dict[str, Any]:
    """The job's answer. Raises Refused when the candidate is to blame, ChildLost when it is not."""
    _check_end(child, order, zygote_rss_bytes)
    document = _parse(child.result.partition(b"\n")[2])
    match document:
        case {"answer": dict() as answer, **rest} if not rest:
            return answer
        case {"refused": [*entries], **rest} if not rest and 0 < len(entries) <= MOST_REFUSALS:
            raise Refused(*map(_read_refusal, entries))
        case {"lacking": str() as what, **rest} if not rest:
            raise ChildUnequipped(printable(what)[:MOST_MESSAGE])
        case {"crashed": str() as kind, **rest} if not rest and kind.isascii() and kind.isidentifier():
            raise refuse(
                RefusalCode.JAIL_CRASH,
                f"The gate cannot cope with this program ({kind[:MOST_MESSAGE]}): write the same in a simpler way.",
            )
    raise _bad_output()


def _is_starved(ended: Ended, order: Order) -> bool:
    only_computes = order.job in JOBS and JOBS[order.job].only_computes
    return ended.waited_s > order.wall_s / 2 or (only_computes and ended.cpu_s < order.wall_s / 2)


def _check_end(child: Child, order: Order, zygote_rss_bytes: int) -> None:
    ended = child.ended
    if child.has_flooded:
        raise refuse(RefusalCode.OUTPUT_LIMIT, "The program writes without end: it must only return its loss.")
    if ended.was_late and _is_starved(ended, order):
        raise ChildStarved(
            f"a child came to compute for {ended.cpu_s:.1f} of {order.wall_s:g} s, and whatever else runs here kept it"
            " from the rest: give the machine less to do, or the gate fewer workers"
        )
    if ended.was_late:
        raise refuse(
            RefusalCode.WALL_LIMIT, f"The program did not end within {order.wall_s:g} s: a loss takes milliseconds."
        )
    if os.WIFEXITED(ended.status):
        return
    number = os.WTERMSIG(ended.status)
    is_spent = ended.cpu_s >= order.cpu_s - CPU_MARGIN_S
    if number == signal.SIGSYS:
        raise refuse(
            RefusalCode.SECURITY_VIOLATION,
            "The program asked the system for what no loss needs, as a program or another process: only compute.",
        )
    if number == signal.SIGFPE:
        raise refuse(
            RefusalCode.WRONG_ARGUMENT,
            "The program divides whole numbers by zero or beyond their range, which ends its process: divide floats, or"
            " clamp before .long() and .int().",
        )
    if number == signal.SIGXCPU or (number == signal.SIGKILL and is_spent):
        raise refuse(
            RefusalCode.CPU_LIMIT, f"The program computed for more than {order.cpu_s} s: a loss takes milliseconds."
        )
    if number != signal.SIGKILL:
        raise refuse(
            RefusalCode.JAIL_CRASH, f"The program crashed its process ({_describe(ended.status)}): compute otherwise."
        )
    if ended.max_rss_bytes - zygote_rss_bytes < GREEDY_BYTES:
        raise ChildLost("a child was killed from outside; look for the kernel's out-of-memory killer in the host's log")
    raise refuse(
        RefusalCode.MEMORY_LIMIT, "The program needs more memory than this machine has: build smaller tensors."
    )


def _parse(text: bytes) -> object:
    try:
        document: object = json.loads(text.decode("ascii"), parse_constant=_read_constant)
        # An escaped half of a character could be neither stored nor logged.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise _bad_output() from error
    return document


def _read_constant(literal: str) -> object:
    raise ValueError(f"{literal} is no number of JSON")


def _read_refusal(entry: object) -> Refusal:
    match entry:
        case {"code": str() as code, "message": str() as message, "line": line, **rest} if not rest:
            if code in list(RefusalCode) and _is_line(line):
                return Refusal(RefusalCode(code), printable(message)[:MOST_MESSAGE], line)
    raise _bad_output()


def _is_line(line: object) -> TypeGuard[int | None]:
    return line is None or (type(line) is int and 0 < line <= MOST_LINES)


def printable(text: str) -> str:
    """For a log or a page: what could move a cursor or turn the direction of writing is left out."""
    return "".join(each if each.isprintable() else " " for each in text)


def _bad_output() -> Refused:
    return refuse(RefusalCode.BAD_OUTPUT, "The program meddled with its own answer: it must only return its loss.")


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.waitstatus_to_exitcode(status)}"
