"""Trainings side by side: as many at once as there are slots, ended at once, and nobody blamed for a crash."""

import os
import signal
from threading import Barrier, Lock

import pytest

from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose
from tests.compare.slots import LIMITS, Answer, Recording, graph, measured, scripted
from tests.runtime import toy
from tests.waiting import is_alive, wait_until
from workers.progress import Tell
from workers.runtime.protocol import Evaluate
from workers.slots import Slots
from workers.supervisor.devices import CPU
from workers.supervisor.outcome import Cancelled, Crashed, Failed, Measured, Outcome
from workers.trainings import Loss, Training, Trainings, TrainingsBroke, refuse_crashed

DPO, IPO = Loss.of(graph("dpo")), Loss.of(graph("ipo"))


def training(number: int, loss: Loss = DPO, label: str = "") -> Training:
    setting = Setting(1.0, 0.05, 8)
    return Training(loss, 0, setting, Draw(Purpose.CALIBRATE, str(number)), label or f"draw {number}")


def unheard(_doing: str, _done: float) -> None:
    pass


def make(answer: Answer, slots: int = 2, on_progress: Tell = unheard) -> tuple[Trainings, list[Evaluate]]:
    made, orders = scripted(answer, slots)
    return Trainings(toy.document(), made, on_progress), orders


def test_each_is_trained_once_with_its_own_loss_whatever_it_is_called() -> None:
    trainings, orders = make(lambda order: measured(float(order.draw.key)))
    outcomes = trainings.run([training(1), training(1, label="again"), training(1, IPO), training(2)])
    assert len(orders) == 3
    assert list(outcomes) == [training(1), training(1, IPO), training(2)]
    assert {str(order.graph) for order in orders} == {str(DPO.graph.document()), str(IPO.graph.document())}


def test_both_slots_work_at_once() -> None:
    together = Barrier(2)

    def answer(order: Evaluate) -> Outcome:
        together.wait(60)
        return measured(0.0)

    assert len(make(answer)[0].run([training(n) for n in range(4)])) == 4


def test_what_follows_is_trained_too_and_failures_are_followed() -> None:
    def answer(order: Evaluate) -> Outcome:
        return Failed("diverged", "It did.") if order.draw.key == "1" else measured(0.0)

    heard: list[str] = []

    def then(done: Training, outcome: Outcome) -> list[Training]:
        heard.append(type(outcome).__name__)
        number = int(done.draw.key)
        return [training(number + 1)] if number < 3 else []

    outcomes = make(answer)[0].run([training(0)], then)
    assert heard == ["Measured", "Failed", "Measured", "Measured"]
    assert [int(each.draw.key) for each in outcomes] == [0, 1, 2, 3]


def test_a_training_that_crashed_once_is_made_again() -> None:
    """A process that the kernel ends for want of memory elsewhere does not cost what all others have measured."""
    crashed: list[str] = []

    def answer(order: Evaluate) -> Outcome:
        if order.draw.key == "1" and not crashed:
            crashed.append(order.draw.key)
            return Crashed("the process was killed.")
        return measured(0.0)

    trainings, orders = make(answer)
    outcomes = trainings.run([training(n) for n in range(3)])
    assert all(isinstance(each, Measured) for each in outcomes.values())
    assert sorted(order.draw.key for order in orders) == ["0", "1", "1", "2"]


def test_after_two_crashes_the_others_are_cancelled_and_nothing_follows() -> None:
    trainings, orders = make(lambda order: Crashed("the machine is ill."), slots=1)
    outcomes = trainings.run([training(n) for n in range(3)], lambda *_: [training(9)])
    assert [type(each) for each in outcomes.values()] == [Crashed, Cancelled, Cancelled]
    assert [order.draw.key for order in orders] == ["0", "0"]
    with pytest.raises(TrainingsBroke, match=r"\(draw 0\) .* no fault of the loss: the machine is ill\. Nothing"):
        refuse_crashed(outcomes)


def test_progress_counts_up_to_all_over_several_runs() -> None:
    lock, told = Lock(), []

    def hear(doing: str, done: float) -> None:
        with lock:
            told.append((doing, done))

    trainings, _ = make(lambda order: measured(0.0), slots=1, on_progress=hear)
    trainings.run([training(0), training(1)])
    trainings.run([training(2)])
    assert told == [("draw 0", 1.0), ("draw 1", 2.0), ("draw 2", 3.0)]


def test_an_interrupt_ends_it_and_its_processes_at_once() -> None:
    """The training idles for ever; Ctrl-C comes as soon as it has begun."""
    runtime = Recording([])
    slots, pids = Slots([CPU], [runtime], LIMITS), []

    def interrupt(doing: str, _done: float) -> None:
        if doing.endswith("training") and not pids:
            pids.append(runtime.pid)
            os.kill(os.getpid(), signal.SIGINT)

    trainings = Trainings(toy.document(faults=[{"do": "idle", "at": "take", "step": 2}]), slots, interrupt)
    # A shell ignores the signal in what it starts in the background, as this test may be.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            trainings.run([training(n) for n in range(3)])
    finally:
        signal.signal(signal.SIGINT, before)
        slots.close()
    assert len(runtime.orders) == 1
    wait_until(lambda: not is_alive(pids[0]), deadline_s=10)


def test_the_real_runtime_measures_what_it_is_asked_for() -> None:
    slots = Slots([CPU], [Recording([])], LIMITS)
    try:
        outcomes = Trainings(toy.document(), slots, unheard).run([training(0), training(0, IPO)])
    finally:
        slots.close()
    first, second = outcomes.values()
    assert isinstance(first, Measured)
    assert isinstance(second, Measured)
    assert first.metrics["J"] != second.metrics["J"]
