"""Trainings side by side on the slots of this machine, until all are done or one shows that none can be."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from threading import Event
from typing import Any

from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose
from discovery_service.losses.graph import Graph
from workers.runtime.protocol import DrawMessage, Evaluate, Progress, SettingMessage, Stage
from workers.slots import Slots
from workers.supervisor.outcome import Cancelled, Crashed, Outcome


@dataclass(frozen=True)
class Training:
    setting: Setting
    number: int
    """Of its draw, from 0 on."""

    @property
    def draw(self) -> Draw:
        """For no purpose of a campaign: what is found out here gives none of its draws away."""
        return Draw(Purpose.CALIBRATE, f"evaluate {self.number}")


@dataclass(frozen=True)
class Loss:
    """What is trained, and where."""

    graph: Graph
    arena: Mapping[str, Any]
    base_policy: int


OnProgress = Callable[[str, float], None]


class Trainings:
    def __init__(self, loss: Loss, slots: Slots, on_progress: OnProgress) -> None:
        self._loss, self._slots, self._on_progress = loss, slots, on_progress
        self._stop = Event()
        self._shares: dict[Training, float] = {}
        """Of each that has begun, how much is done."""

    def run(self, trainings: Sequence[Training]) -> dict[Training, Outcome]:
        """What became of each. After a crash, which is no fault of the loss, the others are cancelled."""
        with ThreadPoolExecutor(min(len(self._slots.devices), len(trainings))) as pool:
            try:
                running = {pool.submit(self._train, each): each for each in trainings}
                for done in as_completed(running):
                    done.result()
            except BaseException:
                # Interrupted at the terminal: nothing is waited for.
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
            outcomes = {training: done.result() for done, training in running.items()}
        return {each: outcomes[each] for each in trainings}

    def _train(self, training: Training) -> Outcome:
        if self._stop.is_set():
            return Cancelled()
        order = Evaluate(
            job=f"{training.number} {training.setting}",
            arena=dict(self._loss.arena),
            base_policy=self._loss.base_policy,
            graph=self._loss.graph.document(),
            setting=SettingMessage.model_validate(training.setting.document()),
            draw=DrawMessage.model_validate(training.draw.document()),
            memory_bytes=self._slots.limits.memory_bytes,
        )
        with self._slots.take() as runtime:
            outcome = runtime.evaluate(
                order, self._slots.limits, stop=self._stop, on_progress=lambda told: self._hear(training, told)
            )
        if isinstance(outcome, Crashed):
            self._stop.set()
        self._shares[training] = 1.0
        self._on_progress(f"draw {training.number}", sum(self._shares.values()))
        return outcome

    def _hear(self, training: Training, told: Progress) -> None:
        # Measuring takes about a fifth as long as training.
        share = {Stage.BUILDING: 0.0, Stage.TRAINING: 0.8 * told.done / told.of, Stage.MEASURING: 0.8}[told.stage]
        self._shares[training] = share
        self._on_progress(f"draw {training.number}, {told.stage}", sum(self._shares.values()))
