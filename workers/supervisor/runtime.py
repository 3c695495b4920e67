"""The runtime of one slot as a worker sees it: ask for an evaluation, get what became of it, by whose doing.

Torch-free. It owns the limits, hears a cancellation within a tick, and starts a fresh process after one that died,
hung, was cancelled or ran out of memory. Memory that runs out in a process that had worked before is judged by what
happens in a fresh one: what is warm there must count for nobody. It is the candidate's doing only where the process
says so itself: from outside nobody can tell what took it, and a loss's graph is bounded before it runs.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Self

from workers.runtime import protocol
from workers.runtime.protocol import Broken, Done, Evaluate, Hello, Progress, ProtocolError, Stage, read_answer
from workers.supervisor.child import LineTooLong, RuntimeChild
from workers.supervisor.outcome import Cancelled, Crashed, Failed, Limits, Measured, Outcome
from workers.supervisor.proc import look_at

START_WITHIN_S = 120.0
TICK_S = 0.1
# One look may catch a process that a debugger or a checkpoint holds for a moment.
STOPPED_FOR_S = 2.0
# What an interpreter or the C++ library says last when an allocation fails where nobody expects it.
_MEMORY_MARKS = ("MemoryError", "bad_alloc", "allocate memory")

_MORE_MEMORY = "set DISCOVERY__WORKER__MEMORY_BYTES, or a smaller batch in the arena"
_MORE_OF_THE_CARD = "set fewer slots with DISCOVERY__WORKER__SLOTS, or a smaller batch in the arena"

OnProgress = Callable[[Progress], object]


class RuntimeLost(Exception):
    """It does not start: this machine's fault. One sentence says why."""


class Runtime:
    """A context: on leaving it, the process is gone. One evaluation at a time, by one thread."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command, self._environment = command, environment
        self._child: RuntimeChild | None = None
        self._hello: Hello | None = None
        self._has_worked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def start(self, stop: Event | None = None) -> Hello:
        """What it said of itself, as soon as it can take work; started unless it runs. Raises RuntimeLost."""
        if self._child is not None and not _is_waiting(self._child):
            self._end()
        if self._hello is None:
            try:
                self._child = RuntimeChild(self._command, self._environment)
                self._hello = self._greet(self._child, stop or Event())
            except OSError as error:
                raise RuntimeLost(f"The runtime cannot be started: {error}.") from error
            finally:
                if self._hello is None:
                    self._end()
        return self._hello

    def evaluate(
        self, order: Evaluate, limits: Limits, *, stop: Event, on_progress: OnProgress = lambda _: None
    ) -> Outcome:
        """Train and measure; `stop` ends it within a second or two. Nothing that happens to it is an exception."""
        try:
            self.start(stop)
            had_worked = self._has_worked
            outcome, is_out_of_memory = self._work(order, limits, stop, on_progress)
            if is_out_of_memory and had_worked:
                self.start(stop)
                outcome, _ = self._work(order, limits, stop, on_progress)
            return outcome
        except RuntimeLost as lost:
            return Cancelled() if stop.is_set() else Crashed(str(lost))

    def _work(self, order: Evaluate, limits: Limits, stop: Event, on_progress: OnProgress) -> tuple[Outcome, bool]:
        """In the process that is started; and whether memory ran out, after which it is gone."""
        assert self._child is not None
        assert self._hello is not None
        self._has_worked = True
        is_on_card = self._hello.device != "cpu"
        job = _Job(self._child, order, limits, stop, on_progress, is_on_card=is_on_card)
        try:
            outcome = job.run()
        except BaseException:
            self._end()
            raise
        if not job.leaves_a_sound_process:
            self._end()
        return outcome, job.is_out_of_memory

    def _greet(self, child: RuntimeChild, stop: Event) -> Hello:
        gives_up_at = time.monotonic() + START_WITHIN_S
        try:
            while not (lines := child.exchange(TICK_S)):
                if child.has_ended:
                    raise RuntimeLost(f"The runtime ended before it could take work, {child.describe_end()}.")
                if stop.is_set() or time.monotonic() > gives_up_at:
                    raise RuntimeLost(f"The runtime was not ready within {START_WITHIN_S:g} s.")
            hello = read_answer(lines[0])
            if len(lines) > 1:
                raise ProtocolError("It says more than it was asked.")
        except (LineTooLong, ProtocolError) as error:
            raise RuntimeLost(f"What the runtime says cannot be read. {error}") from error
        if not isinstance(hello, Hello) or hello.version != protocol.VERSION:
            raise RuntimeLost("The runtime is of another version than its supervisor: restart the worker.")
        return hello

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
        self._child = self._hello = None
        self._has_worked = False


def _is_waiting(child: RuntimeChild) -> bool:
    """Whether it lives, and has said nothing since its last answer."""
    try:
        return not child.exchange(0) and not child.has_ended
    except LineTooLong:
        return False


class _Job:
    """One evaluation, from the order to its outcome."""

    def __init__(
        self,
        child: RuntimeChild,
        order: Evaluate,
        limits: Limits,
        stop: Event,
        on_progress: OnProgress,
        *,
        is_on_card: bool,
    ) -> None:
        self._child, self._limits, self._stop, self._on_progress = child, limits, stop, on_progress
        self._order, self._is_on_card = order, is_on_card
        self._stage = Stage.BUILDING
        self._entered_at = time.monotonic()
        self._cpu_before_s, self._building_s = 0.0, 0.0
        self._seen_running_at = self._entered_at
        self.leaves_a_sound_process = False
        self.is_out_of_memory = False

    def run(self) -> Outcome:
        self._child.begin(self._order.encode())
        while True:
            try:
                for line in self._child.exchange(TICK_S):
                    if (outcome := self._hear(line)) is not None:
                        return outcome
            except (LineTooLong, ProtocolError) as error:
                return self._crashed(f"What the runtime says cannot be read: {error or 'a line without end'}")
            if (outcome := self._look()) is not None:
                return outcome

    def _hear(self, line: bytes) -> Outcome | None:
        answer = read_answer(line)
        if isinstance(answer, Hello) or answer.job != self._order.job:
            raise ProtocolError("it speaks of another job")
        match answer:
            case Progress():
                self._follow(answer)
                return None
            case Done():
                self.leaves_a_sound_process = True
                return Measured(answer.metrics, answer.series, self._device_s(), self._building_s)
            case protocol.Failed():
                # Where memory ran out, what is left of arenas and caches is anybody's guess.
                self.is_out_of_memory = answer.is_out_of_memory
                self.leaves_a_sound_process = not self.is_out_of_memory
                return Failed(answer.code, answer.message, answer.step, answer.series, self._device_s())
            case Broken():
                self.is_out_of_memory = answer.is_out_of_memory
                self.leaves_a_sound_process = not (answer.is_lost or self.is_out_of_memory)
                if not self.is_out_of_memory:
                    return self._crashed(answer.message)
                remedy = _MORE_OF_THE_CARD if self._is_on_card else _MORE_MEMORY
                return self._crashed(f"{answer.message.rstrip('.')}: {remedy}")

    def _follow(self, progress: Progress) -> None:
        if self._stage is Stage.BUILDING and progress.stage is not Stage.BUILDING:
            sight = look_at(self._child.pid)
            self._cpu_before_s = 0.0 if sight is None else sight.cpu_s
            now = time.monotonic()
            self._building_s, self._entered_at = now - self._entered_at, now
        self._stage = progress.stage
        self._on_progress(progress)

    def _look(self) -> Outcome | None:
        """At what it does not say itself."""
        sight = look_at(self._child.pid)
        if self._child.has_ended or sight is None:
            return self._judge_end()
        if self._stop.is_set():
            return Cancelled()
        limit_bytes = self._limits.memory_bytes
        if limit_bytes is not None and sight.rss_bytes > limit_bytes:
            return self._out_of_memory()
        now = time.monotonic()
        if not sight.is_stopped:
            self._seen_running_at = now
        elif now - self._seen_running_at > STOPPED_FOR_S:
            return self._crashed("somebody has stopped the runtime's process")
        cpu_s = sight.cpu_s - self._cpu_before_s
        if self._stage is Stage.TRAINING and cpu_s > self._limits.evaluation_s:
            message = (
                f"The training took more than {self._limits.evaluation_s:g} s of a processor, which an operator sets"
                " (DISCOVERY__WORKER__EVALUATION_S): compute less."
            )
            return Failed("time", message, device_s=self._device_s())
        if now - self._entered_at > self._limits.stall_s:
            return self._crashed(
                f"{self._stage} did not end within {self._limits.stall_s:g} s, of which it computed {cpu_s:.0f} s"
            )
        return None

    def _judge_end(self) -> Outcome:
        how = self._child.describe_end()
        if self._child.has_given_up() and any(mark in how for mark in _MEMORY_MARKS):
            return self._out_of_memory()
        return self._crashed(f"the runtime's process ended {how}")

    def _out_of_memory(self) -> Crashed:
        """Of the machine, as seen from outside; a card's own is told by the runtime."""
        self.is_out_of_memory = True
        if self._is_on_card:
            # A driver holds gigabytes there, and a loss computes nothing in it.
            return self._crashed(
                "the process of a card takes more of this machine's own memory than it may:"
                " set DISCOVERY__WORKER__MEMORY_BYTES"
            )
        return self._crashed(f"{self._stage} takes more memory than an evaluation may: {_MORE_MEMORY}")

    def _crashed(self, reason: str) -> Crashed:
        return Crashed(reason.rstrip("."), self._child.log)

    def _device_s(self) -> float:
        return 0.0 if self._stage is Stage.BUILDING else time.monotonic() - self._entered_at
