"""The warm process with its own trainer and a toy arena: what it answers, what it keeps, when it ends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from discovery_service.domain.families import Family
from discovery_service.domain.measuring import TRAINER
from discovery_service.domain.states import Purpose
from discovery_service.losses.described import list_described
from tests.losses.graphs import PAIR, GraphMaker, margin, sigmoid
from tests.runtime.toy import document
from tests.waiting import is_alive, wait_until
from workers.runtime.memory import SLACK_BYTES, read_sizes
from workers.runtime.protocol import LINE_BYTES, DrawMessage, Evaluate, SettingMessage
from workers.runtime.series import MOST_POINTS
from workers.supervisor.outcome import Crashed, Failed, Limits, Measured, Outcome
from workers.supervisor.runtime import Runtime, RuntimeLost

TOY = str(Path(__file__).parent / "toy.py")
DPO = list_described(Family.PAIRWISE)["dpo"].graph
MIB, GIB = 1 << 20, 1 << 30
AMPLE = Limits(evaluation_s=1000, stall_s=1000, memory_bytes=GIB)
STEPS = 50


def command(cache: Path, device: str = "cpu") -> tuple[str, ...]:
    return (sys.executable, "-I", TOY, "--device", device, "--cache", str(cache))


ENVIRONMENT = {"PATH": os.defpath, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def slot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    with Runtime(command(tmp_path_factory.mktemp("cache")), ENVIRONMENT) as made:
        yield made


def order(*faults: dict[str, Any], key: str = "0", graph: dict[str, Any] = DPO, **changes: Any) -> Evaluate:
    return Evaluate(
        job=f"job {key}",
        arena=document(faults=list(faults), **changes),
        base_policy=0,
        graph=graph,
        setting=SettingMessage(beta=0.5, learning_rate=0.05, steps=STEPS),
        draw=DrawMessage(purpose=Purpose.TUNE, key=key),
        memory_bytes=AMPLE.memory_bytes,
    )


def evaluate(slot: Runtime, asked: Evaluate, limits: Limits = AMPLE) -> Outcome:
    return slot.evaluate(asked, limits, stop=Event())


def measured(slot: Runtime, key: str = "0") -> Measured:
    outcome = evaluate(slot, order(key=key))
    assert isinstance(outcome, Measured), outcome
    return outcome


def failed(slot: Runtime, *faults: dict[str, Any], **changes: Any) -> Failed:
    outcome = evaluate(slot, order(*faults, **changes))
    assert isinstance(outcome, Failed), outcome
    return outcome


def find_version(package: str) -> str | None:
    return metadata.version(package) if find_spec(package) else None


def figures(outcome: Measured) -> tuple[Any, ...]:
    return {**outcome.metrics, "pid": None}, outcome.series


def test_it_says_what_computes(slot: Runtime) -> None:
    import torch
    import transformers

    build = slot.start().build()
    assert (build.torch, build.transformers, build.device) == (torch.__version__, transformers.__version__, "cpu")
    assert (build.trainer, build.peft) == (TRAINER, find_version("peft"))
    assert build.model.endswith(torch.backends.cpu.get_cpu_capability())


def test_it_trains_and_repeats_every_number_in_the_same_process_and_in_another(slot: Runtime, tmp_path: Path) -> None:
    first, other, again = measured(slot), measured(slot, key="1"), measured(slot)
    assert (first.metrics["J"] or 0) > 0.1
    assert len(first.series["loss"]) == STEPS
    assert figures(first) == figures(again) != figures(other)
    assert first.metrics["pid"] == again.metrics["pid"]
    with Runtime(command(tmp_path), ENVIRONMENT) as cold:
        assert figures(measured(cold)) == figures(first)


def test_a_training_that_turns_non_finite_tells_the_step(slot: Runtime) -> None:
    outcome = failed(slot, {"do": "nan", "at": "take", "step": 40})
    assert (outcome.code, outcome.step, len(outcome.series["loss"])) == ("non_finite", 40, 41)
    assert "step 40" in outcome.message
    assert outcome.series["loss"][-1] is None
    measured(slot)


def test_a_training_of_any_length_can_be_told(slot: Runtime) -> None:
    setting = SettingMessage(beta=0.5, learning_rate=0.0001, steps=MOST_POINTS + 1)
    outcome = evaluate(slot, order().model_copy(update={"setting": setting}))
    assert isinstance(outcome, Measured)
    assert len(outcome.series["loss"]) <= MOST_POINTS
    assert (outcome.series["step"][0], outcome.series["step"][-1]) == (0, MOST_POINTS)


def test_a_policy_that_measures_as_no_number_has_failed(slot: Runtime) -> None:
    assert failed(slot, {"do": "nan", "at": "measure"}).code == "non_finite"


def test_a_graph_that_is_refused_at_the_size_of_a_training_is_the_candidates_doing(slot: Runtime) -> None:
    maker = GraphMaker((*PAIR, "annotator"))
    of_zeros = maker.node("aten.floor_divide.default", maker.leaf("annotator"), maker.leaf("annotator"))
    outcome = failed(slot, graph=maker.returning(maker.leaf(PAIR[0]) + of_zeros))
    assert (outcome.code, "aten.floor_divide" in outcome.message) == ("refused", True)


@pytest.mark.parametrize("change", [{"nodes": [{"op": "aten.future.default", "a": []}]}, {"version": 1000}])
def test_a_graph_that_this_runtime_does_not_know_is_our_fault(slot: Runtime, change: dict[str, Any]) -> None:
    outcome = evaluate(slot, order(graph={**DPO, **change}))
    assert isinstance(outcome, Crashed)
    assert outcome.reason.startswith("This runtime does not know the loss's graph: ")


@pytest.mark.parametrize(
    ("do", "at", "said"),
    [
        ("fill_tensors", "open", "allocate memory"),
        ("fill_tensors", "take", "allocate memory"),
        ("fill_lists", "take", "MemoryError"),
        ("fill_tensors", "measure", "allocate memory"),
    ],
)
def test_memory_that_runs_out_where_no_loss_computes_is_our_fault_and_takes_the_process_along(
    slot: Runtime, do: str, at: str, said: str
) -> None:
    before = measured(slot).metrics["pid"]
    outcome = evaluate(slot, order({"do": do, "at": at}))
    assert isinstance(outcome, Crashed)
    # It says so itself, before the supervisor has to kill it.
    assert said in outcome.reason
    assert "DISCOVERY__WORKER__MEMORY_BYTES" in outcome.reason
    assert measured(slot).metrics["pid"] != before


def make_large_loss() -> dict[str, Any]:
    """Keeps 15 matrices of rows by rows for its gradient, just within the bounds of a graph for 2048 rows."""
    maker = GraphMaker(PAIR)
    z = margin(maker)
    matrix = maker.node("aten.outer.default", z, z)
    for _ in range(14):
        matrix = sigmoid(matrix)
    return maker.returning(z + maker.node("aten.mean.dim", matrix, [1]))


def test_memory_that_a_loss_takes_while_it_computes_itself_is_the_candidates_doing(tmp_path: Path) -> None:
    once = SettingMessage(beta=0.5, learning_rate=0.0001, steps=1)
    asked = order(graph=make_large_loss(), rows=2048).model_copy(update={"setting": once})
    with Runtime(command(tmp_path), ENVIRONMENT) as fresh:
        before = fresh.start().pid
        # The loss takes 250 MiB; the rest of the training, in the same batch, 15.
        limit = read_sizes(before)["VmRSS"] + SLACK_BYTES + 100 * MIB
        tight = Limits(evaluation_s=1000, stall_s=1000, memory_bytes=limit)
        outcome = evaluate(fresh, asked.model_copy(update={"memory_bytes": limit}), tight)
        assert isinstance(outcome, Failed), outcome
        assert (outcome.code, "build smaller tensors" in outcome.message) == ("memory", True)
        small = evaluate(fresh, order(rows=2048).model_copy(update={"memory_bytes": limit}), tight)
        assert isinstance(small, Measured), small
        assert small.metrics["pid"] != before
        assert isinstance(evaluate(fresh, asked), Measured)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"do": "need", "at": "take", "step": 3, "size": 450 * MIB}, id="training"),
        pytest.param({"do": "keep", "at": "open", "size": 450 * MIB}, id="building"),
        pytest.param({"do": "need", "at": "measure", "size": 450 * MIB}, id="measuring"),
    ],
)
def test_what_fits_into_a_fresh_process_is_measured_whatever_is_warm(slot: Runtime, fault: dict[str, Any]) -> None:
    outcome = evaluate(slot, order({"do": "keep", "at": "open", "size": 400 * MIB}, name="warm"))
    assert isinstance(outcome, Measured)
    beside = evaluate(slot, order(fault))
    assert isinstance(beside, Measured)
    assert beside.metrics["pid"] != outcome.metrics["pid"]


def test_an_arena_that_cannot_be_opened_is_our_fault(slot: Runtime) -> None:
    outcome = evaluate(slot, order({"do": "fault", "at": "open"}))
    assert isinstance(outcome, Crashed)
    assert outcome.reason == "The arena cannot be opened: ValueError: nobody understands this"
    assert "Traceback" in outcome.log


def test_an_error_that_nobody_understands_is_our_fault_and_leaves_the_process(slot: Runtime) -> None:
    before = measured(slot).metrics["pid"]
    outcome = evaluate(slot, order({"do": "fault", "at": "measure"}))
    assert isinstance(outcome, Crashed)
    assert outcome.reason == "The policy cannot be measured: ValueError: nobody understands this"
    assert measured(slot).metrics["pid"] == before


def test_a_poisoned_device_is_our_fault_and_takes_the_process_along(slot: Runtime) -> None:
    before = measured(slot).metrics["pid"]
    outcome = evaluate(slot, order({"do": "lose_the_device", "at": "take", "step": 3}))
    assert isinstance(outcome, Crashed)
    assert "device-side assert" in outcome.reason
    assert measured(slot).metrics["pid"] != before


def test_what_a_library_prints_does_not_get_between_the_answers(slot: Runtime) -> None:
    before = measured(slot).metrics["pid"]
    printing = order({"do": "write_to_stdout", "at": "take", "step": 3}, {"do": "read_stdin", "at": "measure"})
    outcome = evaluate(slot, printing)
    assert isinstance(outcome, Measured)
    assert outcome.metrics["pid"] == before


def test_a_hang_has_failed_at_its_limit(slot: Runtime) -> None:
    hang = order({"do": "compute", "at": "take", "step": 3})
    outcome = evaluate(slot, hang, Limits(evaluation_s=0.5, stall_s=1000))
    assert isinstance(outcome, Failed)
    assert outcome.code == "time"
    measured(slot)


def test_a_device_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = pytest.raises(RuntimeLost, match="The device cuda:7 cannot be used")
    with Runtime(command(tmp_path, "cuda:7"), ENVIRONMENT) as slot, told:
        slot.start()


class Bare:
    """The process by itself, its lines in our hands."""

    def __init__(self, cache: Path) -> None:
        self.process = subprocess.Popen(
            command(cache), env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert json.loads(self.read())["say"] == "hello"

    def read(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def end(self) -> tuple[int, str]:
        """How it ends by itself, and what it says then."""
        _, errors = self.process.communicate()
        return self.process.returncode, errors.decode()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Bare]:
    made = Bare(tmp_path)
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param(b"train, please\n", "what is no order", id="malformed"),
        pytest.param(b'{"say": "evaluate"}\n', "what is no order", id="half"),
        pytest.param(order().model_copy(update={"version": 1}).encode(), "of version 1", id="other version"),
        pytest.param(b"x" * (LINE_BYTES + 1), "longer than", id="no end"),
    ],
)
def test_a_line_that_is_no_order_ends_it_with_a_sentence(bare: Bare, line: bytes, why: str) -> None:
    bare.write(line)
    status, errors = bare.end()
    assert status == 2
    assert why in errors.splitlines()[-1]


@pytest.mark.parametrize("at", ["take", "measure"])
def test_an_allocation_is_refused_before_the_process_holds_what_its_supervisor_allows(bare: Bare, at: str) -> None:
    bare.write(order({"do": "fill_tensors", "at": at}).model_copy(update={"memory_bytes": GIB}).encode())
    while (answer := json.loads(bare.read()))["say"] == "progress":
        pass
    assert (answer["say"], answer["is_out_of_memory"]) == ("broken", True)
    # Nobody looked at it on the way, but the kernel keeps the most that it held.
    assert GIB // 2 < read_sizes(bare.process.pid)["VmHWM"] < GIB


def test_it_ends_when_its_stdin_closes(bare: Bare) -> None:
    assert bare.end()[0] == 0


@pytest.mark.parametrize("do", ["compute", "idle"])
def test_it_ends_when_its_stdin_closes_whatever_it_is_doing(bare: Bare, do: str) -> None:
    bare.write(order({"do": do, "at": "take", "step": 1}).encode())
    while b'"training"' not in bare.read():
        pass
    assert bare.end()[0] == 0


def test_it_ends_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = f"import subprocess; p = subprocess.Popen({command(tmp_path)!r}, stdin=subprocess.PIPE, env={ENVIRONMENT!r})"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", f"{code}; print(p.pid, flush=True); p.wait()"], stdout=subprocess.PIPE
    )
    assert supervisor.stdout is not None
    child = int(supervisor.stdout.readline())
    assert b"hello" in supervisor.stdout.readline()
    supervisor.kill()
    supervisor.communicate()
    wait_until(lambda: not is_alive(child))


def test_a_machine_that_runs_out_of_memory_kills_it_before_its_worker(slot: Runtime) -> None:
    slot.start()
    assert Path(f"/proc/{slot.pid}/oom_score_adj").read_text() == "1000\n"
