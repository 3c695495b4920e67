"""Trainings of any number of losses side by side on the slots of this machine, for commands without a server."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from discovery_service.domain.measuring import Draw, Setting
from discovery_service.losses.canonical import canonicalise, hash_graph
from discovery_service.losses.graph import Graph
from discovery_service.settings import MachineSettings, get_settings
from workers import slots as machine_slots
from workers.progress import Tell, progress_bar
from workers.runtime.protocol import DrawMessage, Evaluate, Progress, SettingMessage, Stage
from workers.slots import Slots, make_slots
from workers.supervisor.outcome import Cancelled, Crashed, Outcome

_ATTEMPTS = 2
"""A process that was killed once, as where memory ran out beside it, does not cost what all others have measured."""

_SHARE_OF_TRAINING = 0.8
"""Measuring takes about a fifth as long as training."""


@dataclass(frozen=True)
class Loss:
    """What is trained. Two are one where their graphs compute the same by the same operations."""

    graph_sha256: str
    graph: Graph = field(compare=False, repr=False)
    """The canonical one."""

    @classmethod
    def of(cls, graph: Graph) -> "Loss":
        return cls(hash_graph(graph), canonicalise(graph))


@dataclass(frozen=True)
class Training:
    """Equal ones give equal figures, so none is run twice."""

    loss: Loss
    base_policy: int
    setting: Setting
    draw: Draw
    label: str = field(compare=False)
    """As it is told to whoever waits."""


Then = Callable[[Training, Outcome], Iterable[Training]]
"""What one that ended makes necessary."""


class TrainingsBroke(Exception):
    """Something of ours, no loss, is at fault. One sentence says what, and one what to do."""


class Trainings:
    """In one arena."""

    def __init__(self, arena: Mapping[str, Any], slots: Slots, on_progress: Tell) -> None:
        self._arena, self._slots, self._on_progress = dict(arena), slots, on_progress
        self._stop = Event()
        self._lock = Lock()
        self._shares: dict[Training, float] = {}
        """Of each that has begun, how much is done."""

    def run(
        self, trainings: Iterable[Training], then: Then = lambda _training, _outcome: ()
    ) -> dict[Training, Outcome]:
        """What became of each and of those that followed. One that crashed twice, no fault of a loss, ends the others.

        `then` hears in this thread what was measured or failed, as soon as it did, so that no slot waits for the rest.
        """
        submitted: dict[Training, Future[Outcome]] = {}
        with ThreadPoolExecutor(len(self._slots.devices)) as pool:

            def submit(wanted: Iterable[Training]) -> None:
                for each in wanted:
                    if each not in submitted:
                        submitted[each] = pool.submit(self._train, each)

            try:
                submit(trainings)
                for training, outcome in _as_they_end(submitted):
                    if not isinstance(outcome, Crashed | Cancelled):
                        submit(then(training, outcome))
            except BaseException:
                # Interrupted at the terminal: nothing is waited for.
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return {training: future.result() for training, future in submitted.items()}

    def _train(self, training: Training) -> Outcome:
        if self._stop.is_set():
            return Cancelled()
        order = Evaluate(
            job=f"{training.label}: {training.setting} {training.draw.key}",
            arena=self._arena,
            base_policy=training.base_policy,
            graph=training.loss.graph.document(),
            setting=SettingMessage.model_validate(training.setting.document()),
            draw=DrawMessage.model_validate(training.draw.document()),
            memory_bytes=self._slots.limits.memory_bytes,
        )
        outcome: Outcome = Cancelled()
        for _ in range(_ATTEMPTS):
            with self._slots.take() as runtime:
                outcome = runtime.evaluate(
                    order, self._slots.limits, stop=self._stop, on_progress=lambda told: self._hear(training, told)
                )
            if not isinstance(outcome, Crashed):
                break
        else:
            self._stop.set()
        self._tell(training, training.label, 1.0)
        return outcome

    def _hear(self, training: Training, told: Progress) -> None:
        share = {
            Stage.BUILDING: 0.0,
            Stage.TRAINING: _SHARE_OF_TRAINING * told.done / told.of,
            Stage.MEASURING: _SHARE_OF_TRAINING,
        }[told.stage]
        self._tell(training, f"{training.label}, {told.stage}", share)

    def _tell(self, training: Training, doing: str, share: float) -> None:
        with self._lock:
            self._shares[training] = share
            done = sum(self._shares.values())
        self._on_progress(doing, done)


def _as_they_end(submitted: Mapping[Training, Future[Outcome]]) -> Iterator[tuple[Training, Outcome]]:
    """Those too that are submitted meanwhile."""
    ended: set[Training] = set()
    while running := {future: each for each, future in submitted.items() if each not in ended}:
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            ended.add(running[future])
            yield running[future], future.result()


def refuse_crashed(outcomes: Mapping[Training, Outcome]) -> None:
    """Raises TrainingsBroke where one crashed: what the others say is then not the whole of what was asked for."""
    for training, outcome in outcomes.items():
        if isinstance(outcome, Crashed):
            raise TrainingsBroke(
                f"A training ({training.label}) crashed, which is no fault of the loss: {outcome.reason.rstrip('.')}."
                " Nothing is concluded from the others. Try again; `discovery doctor` says what this machine lacks."
            )


@contextmanager
def open_slots() -> Iterator[Slots]:
    """Those of this machine as it is set, for as long as a command runs."""
    slots = make_slots(get_settings(), MachineSettings(), machine_slots.COMMAND)
    try:
        yield slots
    finally:
        slots.close()


@contextmanager
def open_trainings(arena: Mapping[str, Any], slots: Slots, of: int) -> Iterator[Trainings]:
    """So many of them, with a bar on the terminal."""
    with progress_bar(of) as tell:
        yield Trainings(arena, slots, tell)
