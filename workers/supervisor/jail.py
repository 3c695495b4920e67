"""The jail as the gate sees it: ask for a job on a candidate, get an answer or a refusal; whether it holds is proved.

Fails closed: below the demanded level, or when our own side fails, nothing is run and `JailUnavailable` says why.
"""

import json
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from discovery_service.domain.isolation import Level
from discovery_service.losses.refusals import Refusal, Refused
from workers.jail.jobs import JOBS
from workers.jail.lockdown import OPTIONAL, UNLOCKED
from workers.jail.messages import Order
from workers.supervisor.isolation import Isolation
from workers.supervisor.self_test import derive_isolation
from workers.supervisor.verdict import ChildLost, ChildStarved, ChildUnequipped, printable, read_answer, read_lock
from workers.supervisor.zygote import COMMAND, Child, Zygote, ZygoteLost

WALL_S = 10.0
CPU_S = 5
PATIENCE = 6
"""So many times the wall time for a job that is asked again: what computes is ended by its processor time."""
MEMORY_BYTES = 512 << 20


class JailUnavailable(Exception):
    """Our side cannot run the job; the candidate is not to blame, and may be asked for again."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: an answer, or a refusal of the candidate."""

    answer: dict[str, Any] | None
    """Of a job that refused: all its refusals, under `refused`."""
    refusal: Refusal | None
    cpu_s: float
    wall_s: float
    max_rss_bytes: int
    """With what it shares with the zygote."""
    log: str
    """What the child wrote beside its answer, made fit to print."""


class Jail:
    """A context around a zygote that was proved to lock its children.

    With the minimum `UNAVAILABLE` an operator lets sources be compiled where no lock holds; what executes a
    candidate's own Python wants the level full all the same. Threads may share a jail; it runs one job at a time.
    """

    def __init__(self, minimum: Level = Level.SECCOMP, command: Sequence[str] = COMMAND) -> None:
        self._minimum = minimum
        self._command = command
        self._turn = threading.Lock()
        self._stack = ExitStack()
        self._zygote: Zygote | None = None
        self._is_to_start = False
        self.isolation = Isolation(Level.UNAVAILABLE, "The jail is not open.")

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._is_to_start = False
        self.isolation = Isolation(Level.UNAVAILABLE, "The jail is not open.")

    @property
    def zygote_pid(self) -> int | None:
        return None if self._zygote is None else self._zygote.pid

    @property
    def zygote_rss_bytes(self) -> int | None:
        """When it had warmed up."""
        return None if self._zygote is None else self._zygote.hello.rss_bytes

    def run(
        self,
        job: str,
        request: dict[str, Any],
        *,
        wall_s: float = WALL_S,
        cpu_s: int = CPU_S,
        memory_bytes: int = MEMORY_BYTES,
    ) -> Outcome:
        """Do one of `jobs.JOBS` in a child of its own. Raises JailUnavailable; all else is in the outcome."""
        text = json.dumps(request).encode()
        with self._turn:
            for is_retried in (False, True):
                zygote = self._ready_for(job)
                within_s = wall_s * PATIENCE if is_retried else wall_s
                order = Order(job, within_s, cpu_s, memory_bytes, self._optional(), [])
                try:
                    child = zygote.run(order, text)
                    read_lock(child)
                    return _judge(child, order, zygote.hello.rss_bytes)
                except ChildUnequipped as lack:
                    raise JailUnavailable(
                        f"The job {job} needs what was not loaded before the lock ({lack}): a fault of the jail's"
                        " warm-up, which wants to be reported."
                    ) from lack
                except (ZygoteLost, ChildLost, OSError) as lost:
                    # Whose child was starved is well itself, and another one would take its time to warm up.
                    if not isinstance(lost, ChildStarved):
                        self._give_up()
                    if is_retried:
                        raise JailUnavailable(f"The jail failed twice at the job {job}: {lost}.") from lost
                except BaseException:
                    # Interrupted, as by a task's time limit: the zygote's next word would be about the old child.
                    self._give_up()
                    raise
        raise AssertionError("the second turn returns or raises")

    def _start(self) -> None:
        """Start a zygote and prove its lock; the level tells what came of it."""
        self._give_up()  # which an interruption leaves as it is
        try:
            zygote = self._stack.enter_context(Zygote(self._command))
            self.isolation = derive_isolation(zygote)
        except (ZygoteLost, OSError) as error:
            self._stop()
            self.isolation = Isolation(Level.UNAVAILABLE, f"The jail cannot be started: {error}.")
            return
        self._is_to_start = False
        if self.isolation.level.reaches(self._minimum):
            self._zygote = zygote
        else:
            self._stop()

    def _give_up(self) -> None:
        """On this zygote; the next job starts another."""
        self._stop()
        self._is_to_start = True

    def _stop(self) -> None:
        self._zygote = None
        self._stack.close()

    def _ready_for(self, job: str) -> Zygote:
        if self._is_to_start:
            self._start()
        runs_python = job in JOBS and JOBS[job].runs_python
        level, wanted = self.isolation.level, Level.FULL if runs_python else self._minimum
        if self._zygote is None or not level.reaches(wanted):
            why = self.isolation.reason or ""
            raise JailUnavailable(f"The job {job} wants a jail of level {wanted}, here it is {level}. {why}".rstrip())
        if job not in self._zygote.hello.jobs:
            raise ValueError(f"The jail has no job {job}, only {', '.join(self._zygote.hello.jobs)}.")
        return self._zygote

    def _optional(self) -> list[str]:
        """What a child may go without: nothing that the self-test found in force."""
        allowed = OPTIONAL if self.isolation.level.reaches(Level.SECCOMP) else UNLOCKED
        return sorted(allowed - set(self.isolation.layers))


def _judge(child: Child, order: Order, zygote_rss_bytes: int) -> Outcome:
    answer: dict[str, Any] | None = None
    refusal: Refusal | None = None
    try:
        answer = read_answer(child, order, zygote_rss_bytes)
    except Refused as refused:
        answer = {"refused": [each.document() for each in refused.refusals]}
        refusal = refused.refusals[0]
    return Outcome(
        answer=answer,
        refusal=refusal,
        cpu_s=child.ended.cpu_s,
        wall_s=child.ended.wall_s,
        max_rss_bytes=child.ended.max_rss_bytes,
        log="\n".join(map(printable, child.log.decode(errors="replace").splitlines())),
    )
