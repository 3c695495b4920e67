"""What becomes of an evaluation, and of its process, whatever the runtime does."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from structlog.testing import capture_logs

from discovery_service.domain.ids import uuid7
from discovery_service.domain.measuring import Build
from discovery_service.domain.states import Purpose
from tests.waiting import is_alive, wait_until
from workers.runtime.protocol import LINE_BYTES, DrawMessage, Evaluate, Progress, SettingMessage, Stage
from workers.supervisor import child
from workers.supervisor.child import LOG_BYTES
from workers.supervisor.outcome import Cancelled, Crashed, Failed, Limits, Measured, Outcome
from workers.supervisor.runtime import Runtime, RuntimeLost

SCRIPTED = str(Path(__file__).parent / "scripted.py")
AMPLE = Limits(evaluation_s=1000, stall_s=1000, memory_bytes=2 << 30)
TRAINING = ("say", "training")
DONE = ("done",)
MORE_MEMORY = "set DISCOVERY__WORKER__MEMORY_BYTES, or a smaller batch in the arena"


def runtime(*mode: str) -> Runtime:
    return Runtime((sys.executable, "-I", SCRIPTED, *mode), {"PATH": os.defpath})


@pytest.fixture
def slot() -> Iterator[Runtime]:
    with runtime() as made:
        yield made


def order(*acts: tuple[Any, ...]) -> Evaluate:
    return Evaluate(
        job=str(uuid7()),
        arena={"acts": acts},
        base_policy=0,
        graph={},
        setting=SettingMessage(beta=0.1, learning_rate=0.001, steps=3),
        draw=DrawMessage(purpose=Purpose.TUNE, key="0"),
    )


def act(slot: Runtime, *acts: tuple[Any, ...], limits: Limits = AMPLE, stop: Event | None = None) -> Outcome:
    return slot.evaluate(order(*acts), limits, stop=stop or Event())


def process_of(slot: Runtime) -> int:
    """The process that answers the next evaluation."""
    outcome = act(slot, TRAINING, DONE)
    assert isinstance(outcome, Measured)
    return int(outcome.metrics["pid"] or 0)


def reason(outcome: Outcome) -> str:
    assert isinstance(outcome, Crashed), outcome
    return outcome.reason


def test_a_measurement_comes_back_with_what_was_told_on_the_way(slot: Runtime) -> None:
    told: list[Progress] = []
    acts = order(("say", "building"), TRAINING, ("say", "training", 2), ("say", "measuring"), DONE)
    outcome = slot.evaluate(acts, AMPLE, stop=Event(), on_progress=told.append)
    assert isinstance(outcome, Measured)
    assert (outcome.metrics["J"], outcome.series) == (1.0, {"loss": [0.5, None]})
    assert outcome.device_s > 0
    assert outcome.building_s > 0
    assert [(each.stage, each.done) for each in told] == [
        (Stage.BUILDING, 0),
        (Stage.TRAINING, 0),
        (Stage.TRAINING, 2),
        (Stage.MEASURING, 0),
    ]


def test_what_computed_is_what_the_runtime_says_of_itself(slot: Runtime) -> None:
    build = Build(torch="2", transformers="5", device="cpu", model="a cpu", trainer=1000, peft=None)
    assert slot.start().build() == build


def test_one_process_takes_evaluation_after_evaluation(slot: Runtime) -> None:
    assert len({process_of(slot) for _ in range(3)}) == 1


def test_what_the_candidate_did_keeps_the_process_and_tells_step_and_reason(slot: Runtime) -> None:
    before = process_of(slot)
    outcome = act(slot, TRAINING, ("fail", "non_finite", 40))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.message, outcome.step) == ("non_finite", "Its doing.", 40)
    assert outcome.device_s > 0
    assert process_of(slot) == before


@pytest.mark.parametrize(
    ("acts", "is_kept"),
    [
        ((("breaks", False),), True),
        ((("breaks", True),), False),
        ((("fail", "memory", None, True),), False),
        ((("fail", "memory"),), True),
    ],
)
def test_a_process_whose_device_or_memory_is_lost_is_not_used_again(slot: Runtime, acts: Any, is_kept: bool) -> None:
    before = process_of(slot)
    outcome = act(slot, *acts)
    assert isinstance(outcome, Failed) or outcome == Crashed("The card is hot", "")
    assert (process_of(slot) == before) == is_kept
    assert is_alive(before) == is_kept


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_runtime_that_dies_is_our_fault_and_replaced(slot: Runtime, number: signal.Signals) -> None:
    before = process_of(slot)
    outcome = act(slot, TRAINING, ("die", number))
    assert reason(outcome) == f"the runtime's process ended by {number.name}: The last words"
    assert process_of(slot) != before


def test_a_runtime_that_raises_says_what(slot: Runtime) -> None:
    outcome = act(slot, ("raises", "ValueError"))
    assert reason(outcome) == "the runtime's process ended with exit status 1: ValueError: so it is"
    assert isinstance(outcome, Crashed)
    assert "Traceback" in outcome.log


def test_a_runtime_that_died_between_two_evaluations_is_replaced_unseen(slot: Runtime) -> None:
    before = process_of(slot)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: not is_alive(before))
    assert process_of(slot) != before


def test_a_training_that_computes_to_its_limit_has_failed(slot: Runtime) -> None:
    before = process_of(slot)
    outcome = act(slot, TRAINING, ("compute",), limits=Limits(evaluation_s=0.2, stall_s=1000))
    assert isinstance(outcome, Failed)
    assert (outcome.code, "0.2 s" in outcome.message) == ("time", True)
    assert process_of(slot) != before


@pytest.mark.parametrize(
    "acts",
    [
        pytest.param((TRAINING, ("idle",)), id="idle"),
        pytest.param((("say", "building"), ("compute",)), id="building"),
        pytest.param((TRAINING, ("say", "measuring"), ("compute",)), id="measuring"),
    ],
)
def test_one_that_sits_idle_or_builds_or_measures_without_end_has_crashed(slot: Runtime, acts: Any) -> None:
    before = process_of(slot)
    outcome = act(slot, *acts, limits=Limits(evaluation_s=0.2, stall_s=0.6))
    assert "did not end within 0.6 s" in reason(outcome)
    assert process_of(slot) != before


def test_a_stopped_process_is_noticed_long_before_any_limit(slot: Runtime) -> None:
    before = process_of(slot)
    assert "stopped" in reason(act(slot, TRAINING, ("stop",)))
    assert process_of(slot) != before


@pytest.mark.parametrize("stage", ["building", "training", "measuring"])
def test_a_process_that_is_seen_beyond_its_memory_is_our_fault_and_is_told_what_to_set(
    slot: Runtime, stage: str
) -> None:
    little = Limits(evaluation_s=1000, stall_s=1000, memory_bytes=200 << 20)
    before = process_of(slot)
    told = reason(act(slot, ("say", stage), ("hold", 400 << 20), ("idle",), limits=little))
    assert told == f"{stage} takes more memory than an evaluation may: {MORE_MEMORY}"
    assert process_of(slot) != before


@pytest.mark.parametrize(
    ("mode", "remedy"),
    [
        pytest.param((), MORE_MEMORY, id="cpu"),
        pytest.param(
            ("card",), "set fewer slots with DISCOVERY__WORKER__SLOTS, or a smaller batch in the arena", id="card"
        ),
    ],
)
def test_memory_that_the_runtime_calls_ours_is_told_with_what_to_set(mode: tuple[str, ...], remedy: str) -> None:
    with runtime(*mode) as slot:
        assert reason(act(slot, TRAINING, ("breaks", True, True))) == f"The card is hot: {remedy}"


def test_no_loss_is_blamed_for_what_a_card_takes_of_the_machines_own_memory() -> None:
    little = Limits(evaluation_s=1000, stall_s=1000, memory_bytes=200 << 20)
    with runtime("card") as slot:
        assert "own memory" in reason(act(slot, TRAINING, ("hold", 400 << 20), ("idle",), limits=little))
        assert "own memory" in reason(act(slot, TRAINING, ("raises", "MemoryError")))
        outcome = act(slot, TRAINING, ("fail", "memory", None, True))
        assert isinstance(outcome, Failed)
        assert outcome.code == "memory"


@pytest.mark.parametrize("stage", ["building", "training", "measuring"])
@pytest.mark.parametrize(
    "act_of_the_warm",
    [
        pytest.param(("fail", "memory", None, True), id="said"),
        pytest.param(("breaks", True, True), id="said of ours"),
        pytest.param(("raises", "MemoryError"), id="died"),
        pytest.param(("hold", 400 << 20), id="seen"),
    ],
)
def test_memory_that_runs_out_beside_what_earlier_jobs_left_is_tried_in_a_fresh_process(
    slot: Runtime, stage: str, act_of_the_warm: Any
) -> None:
    little = Limits(evaluation_s=1000, stall_s=1000, memory_bytes=200 << 20)
    before = process_of(slot)
    acts = (("say", stage), ("after_another", *act_of_the_warm), ("after_another", "idle"), DONE)
    outcome = act(slot, *acts, limits=little)
    assert isinstance(outcome, Measured)
    assert outcome.metrics["pid"] != before


def test_memory_is_tried_again_once_and_not_at_all_where_the_process_was_fresh(slot: Runtime) -> None:
    for expected in (1, 1, 2):
        told: list[Progress] = []
        if expected == 2:
            process_of(slot)
        outcome = slot.evaluate(
            order(TRAINING, ("fail", "memory", None, True)), AMPLE, stop=Event(), on_progress=told.append
        )
        assert isinstance(outcome, Failed)
        assert len(told) == expected


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(("raises", "MemoryError"), id="raises"),
        pytest.param(("die", signal.SIGABRT, "terminate called after throwing 'std::bad_alloc'"), id="aborts"),
    ],
)
def test_a_process_that_dies_of_a_failed_allocation_had_no_memory_and_cannot_say_whose(
    slot: Runtime, last: Any
) -> None:
    told = reason(act(slot, TRAINING, last))
    assert told == f"training takes more memory than an evaluation may: {MORE_MEMORY}"


def test_one_that_somebody_kills_is_our_fault_whatever_it_said_of_memory(slot: Runtime) -> None:
    assert "SIGKILL" in reason(act(slot, TRAINING, ("die", signal.SIGKILL, "MemoryError: it could not allocate 3 GiB")))


def test_the_log_is_of_one_evaluation_alone(slot: Runtime) -> None:
    assert isinstance(act(slot, ("complain", 1 << 10), TRAINING, DONE), Measured)
    outcome = act(slot, TRAINING, ("breaks", False))
    assert isinstance(outcome, Crashed)
    assert outcome.log == ""


@pytest.mark.parametrize("acts", [(), (("ignore_sigterm",),), (("ignore_sigterm",), ("stop",))])
def test_a_cancelled_training_ends_whatever_the_process_does_with_signals(slot: Runtime, acts: Any) -> None:
    before, stop = process_of(slot), Event()
    cancelling = order(TRAINING, *acts, TRAINING, ("idle",))
    outcome = slot.evaluate(cancelling, AMPLE, stop=stop, on_progress=lambda _: stop.set())
    assert outcome == Cancelled()
    assert not is_alive(before)
    assert process_of(slot) != before


@pytest.mark.parametrize(
    "acts",
    [
        pytest.param((("write", "Epoch 1 of 3\n"),), id="prints"),
        pytest.param((("write", "\n"),), id="empty"),
        pytest.param((("write", "x" * 4096, (LINE_BYTES >> 12) + 100), ("idle",)), id="no end"),
        pytest.param((("write", '{"say": "done"}\n'),), id="half"),
        pytest.param((("other_job",),), id="other job"),
    ],
)
def test_a_line_that_is_no_message_ends_the_process(slot: Runtime, acts: Any) -> None:
    before = process_of(slot)
    assert "cannot be read" in reason(act(slot, TRAINING, *acts, DONE))
    assert process_of(slot) != before


def test_however_much_is_written_to_stderr_holds_nobody_up_and_only_the_end_is_kept(slot: Runtime) -> None:
    assert isinstance(act(slot, ("complain", 1 << 20), TRAINING, DONE), Measured)
    outcome = act(slot, ("complain", 1 << 20), ("breaks", False))
    assert isinstance(outcome, Crashed)
    assert outcome.log.endswith("the end of it\n")
    assert len(outcome.log) <= LOG_BYTES


def test_its_environment_is_what_it_is_given_and_nothing_else(slot: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY__DB__URL", "postgresql://me:hunter2@here/x")
    outcome = act(slot, ("tell_environment",), ("breaks", False))
    assert isinstance(outcome, Crashed)
    assert set(outcome.log.split()) <= {"PATH", "LC_CTYPE"}  # the interpreter adds the latter itself


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("broken", "ended before it could take work, with exit status 1: There is no torch here."),
        ("7", "another version"),
        ("chatty", "cannot be read"),
    ],
)
def test_a_runtime_that_cannot_start_says_why_and_crashes_the_evaluation(mode: str, why: str) -> None:
    with runtime(mode) as slot:
        with pytest.raises(RuntimeLost, match=why):
            slot.start()
        assert why in reason(act(slot, DONE))
        assert slot.pid is None


def test_a_command_that_does_not_exist_cannot_be_started() -> None:
    with Runtime(("/nowhere/python",), {}) as slot, pytest.raises(RuntimeLost, match="/nowhere/python"):
        slot.start()


def test_a_start_can_be_cancelled() -> None:
    stop = Event()
    with runtime("mute") as slot:
        outcomes: list[Outcome] = []
        starting = Thread(target=lambda: outcomes.append(act(slot, DONE, stop=stop)))
        starting.start()
        wait_until(lambda: slot.pid)
        stop.set()
        starting.join()
        assert outcomes == [Cancelled()]


def test_a_process_that_no_signal_ends_is_abandoned_and_holds_its_slot_up_no_longer(
    slot: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = process_of(slot)
    with monkeypatch.context() as deaf, capture_logs() as logs:
        deaf.setattr(child, "TERM_GRACE_S", 0.01)
        deaf.setattr(child, "KILL_GRACE_S", 0.01)
        deaf.setattr(os, "killpg", lambda *_: None)
        assert isinstance(act(slot, TRAINING, ("breaks", True), ("stop",)), Crashed)
    try:
        assert [(each["event"], each["pid"]) for each in logs] == [("runtime.abandoned", before)]
        assert is_alive(before)
        assert process_of(slot) != before
    finally:
        os.kill(before, signal.SIGKILL)


def test_what_a_runtime_started_goes_with_it() -> None:
    told: list[Progress] = []
    with runtime() as slot:
        slot.evaluate(order(("start_child",), DONE), AMPLE, stop=Event(), on_progress=told.append)
        (child,) = (each.done for each in told)
        assert is_alive(child)
    wait_until(lambda: not is_alive(child))


def test_a_large_order_reaches_a_runtime(slot: Runtime) -> None:
    large = order(TRAINING, DONE).model_copy(update={"graph": {"text": "x" * (1 << 20)}})
    assert isinstance(slot.evaluate(large, AMPLE, stop=Event()), Measured)
