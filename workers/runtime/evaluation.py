"""One job of a runtime, from the order to its answer: open the arena, train, measure, and say what came of it.

Whose doing an error is: a loss that diverges, is refused or takes more memory than there is where it computes itself is
`Failed`; whatever else fails is ours, `Broken`: opening the arena, measuring the policy, and in training what is not
the loss's own, as batches and policy that do not fit into memory. Where memory ran out, or on a card anything of ours
failed, the process is lost.
"""

import math
import sys
import time
import traceback
from collections.abc import Callable

import torch

from discovery_service.losses.graph import read_graph
from discovery_service.losses.refusals import RefusalCode, Refused
from workers.arenas.arena import Task
from workers.runtime.divergence import Diverged
from workers.runtime.graph import Program
from workers.runtime.memory import is_out_of_memory, memory_limit
from workers.runtime.optimisation import Optimisation
from workers.runtime.protocol import Broken, Done, Evaluate, Failed, Message, Progress, Stage
from workers.runtime.repeatable import repeatable
from workers.runtime.series import thin
from workers.runtime.trainer import LossOutOfMemory, Trained, train
from workers.runtime.warm import WarmArenas

Tell = Callable[[Message], None]
Answer = Done | Failed | Broken

TELL_EVERY_S = 0.2
_NO_MEMORY = "The loss takes more memory than an evaluation may: build smaller tensors."
_WHAT_FAILS = {
    Stage.BUILDING: "The arena cannot be opened: ",
    Stage.TRAINING: "",
    Stage.MEASURING: "The policy cannot be measured: ",
}


def evaluate(order: Evaluate, arenas: WarmArenas, device: torch.device, tell: Tell) -> Answer:
    """Never raises: the answer says whose doing an error was, and stderr where it came from."""
    stages = _Stages(order.job, tell)
    # A card's libraries map far more than they use, so there only the supervisor watches.
    limit_bytes = order.memory_bytes if device.type == "cpu" else None
    try:
        with memory_limit(limit_bytes), repeatable():
            return _evaluate(order, arenas, stages)
    except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor is to know
        answer = _judge(order.job, stages.stage, error, device)
        if isinstance(answer, Broken):
            # What its frames hold may be all the memory there is, and printing takes some.
            traceback.clear_frames(error.__traceback__)
            traceback.print_exception(error, file=sys.stderr)
            arenas.drop(order.arena)
        return answer


def _evaluate(order: Evaluate, arenas: WarmArenas, stages: "_Stages") -> Answer:
    stages.enter(Stage.BUILDING, 1)
    try:
        program = Program(read_graph(order.graph))
    except Refused as error:
        # The gate accepted it, so it was another version that wrote it.
        message = f"This runtime does not know the loss's graph: {error.refusals[0].message}"
        return Broken(job=order.job, message=message)
    task = arenas.take(order.arena).open(order.base_policy, order.draw.draw())
    stages.enter(Stage.TRAINING, order.setting.steps)
    trained = _train(order, program, task, stages)
    stages.enter(Stage.MEASURING, 1)
    metrics = task.measure()
    stages.end()
    # None is what an arena cannot know, as the score where nobody configured one.
    if not all(value is None or math.isfinite(value) for value in metrics.values()):
        message = "The trained policy's probabilities are not finite: the loss drove its weights out of all range."
        return Failed(job=order.job, code="non_finite", message=message, series=thin(trained.series))
    return Done(job=order.job, metrics=metrics, series=thin(trained.series), seconds=stages.seconds)


def _train(order: Evaluate, program: Program, task: Task, stages: "_Stages") -> Trained:
    optimisation = Optimisation.of(order.arena["recipe"])
    return train(task, program, program.graph.family, order.setting.setting(), optimisation, on_step=stages.count)


def _judge(job: str, stage: Stage, error: Exception, device: torch.device) -> Answer:
    if stage is Stage.TRAINING and (failed := _judge_training(job, error)) is not None:
        return failed
    is_memory = is_out_of_memory(error)
    # On a card nobody can tell an error of the code from a context that is poisoned, in which nothing runs any more.
    is_lost = is_memory or device.type != "cpu" or isinstance(error, torch.AcceleratorError)
    message = f"{_WHAT_FAILS[stage]}{_tell(error)}"
    return Broken(job=job, message=message, is_out_of_memory=is_memory, is_lost=is_lost)


def _judge_training(job: str, error: Exception) -> Failed | None:
    """None where it is not the candidate's doing."""
    if isinstance(error, LossOutOfMemory):
        return Failed(job=job, code="memory", message=_NO_MEMORY, is_out_of_memory=True)
    if isinstance(error, Refused):
        refusal = error.refusals[0]
        is_too_much = refusal.code is RefusalCode.TOO_MUCH_MEMORY
        return Failed(job=job, code="memory" if is_too_much else "refused", message=refusal.message)
    if isinstance(error, Diverged):
        return Failed.model_validate(
            {"job": job, "code": error.code, "message": error.message, "step": error.step, "series": thin(error.series)}
        )
    return None


def _tell(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}".removesuffix(": ")[:500]


class _Stages:
    """Where the job is, how long each stage took, and who is told of it how often."""

    def __init__(self, job: str, tell: Tell) -> None:
        self.stage = Stage.BUILDING
        self.seconds: dict[str, float] = {}
        self._job, self._tell = job, tell
        self._of = 1
        self._entered = self._told = time.perf_counter()

    def enter(self, stage: Stage, of: int) -> None:
        self.end()
        self.stage, self._of = stage, of
        self._say(0)

    def count(self, done: int) -> None:
        """A step is done; told only so often, because a step may take a millisecond."""
        if time.perf_counter() - self._told >= TELL_EVERY_S:
            self._say(done)

    def end(self) -> None:
        """Note how long the stage took that ends here."""
        now = time.perf_counter()
        self.seconds[self.stage] = now - self._entered
        self._entered = now

    def _say(self, done: int) -> None:
        self._told = time.perf_counter()
        self._tell(Progress(job=self._job, stage=self.stage, done=done, of=self._of))
