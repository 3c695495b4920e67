"""Trains a policy with a loss. It knows neither text nor pairs: an arena's task brings the policy and the batches.

The loss never meets the model: it is given the log-probabilities as leaves, and only its slopes there go on backwards.
So what fails in its gradient is told from what fails in the model's. Nothing here draws random numbers.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Setting
from discovery_service.domain.worlds import Precision
from discovery_service.losses.refusals import RefusalCode, Refused, refuse
from workers.arenas.arena import Task
from workers.runtime.divergence import Diverged, Watch
from workers.runtime.faults import is_of_device
from workers.runtime.graph import Program
from workers.runtime.memory import is_out_of_memory
from workers.runtime.optimisation import Optimisation
from workers.runtime.repeatable import repeatable
from workers.runtime.series import describe, measure_reference

LOOK = 10
"""Steps between two looks at what was written down; each look makes an accelerator finish what it was given. Until
then a step that is not finite changes no weight."""


class LossOutOfMemory(Exception):
    """Memory ran out where the loss itself computes. Anywhere else in a training it is ours."""


@dataclass(frozen=True)
class Trained:
    series: dict[str, list[float]]
    """One value a step."""
    seconds: float
    """In optimiser steps, with their batches and series."""


def train(
    task: Task,
    program: Program,
    family: Family,
    setting: Setting,
    optimisation: Optimisation,
    *,
    on_step: Callable[[int], None] = lambda _: None,
) -> Trained:
    """Trains the task's policy in place; on_step hears how many steps are done.

    Raises Diverged, Refused or LossOutOfMemory, which are the candidate's doing. Memory that runs out in the policy's
    or the optimiser's part, and an accelerator that fails, raise torch's own errors.
    """
    with repeatable():
        training = _Training(task, program, family, setting, optimisation)
        started = time.monotonic()
        for step in range(setting.steps):
            training.take_step(step)
            if (step + 1) % LOOK == 0 or step + 1 == setting.steps:
                training.look()
            on_step(step + 1)
        training.check_weights()
        return Trained(training.series, time.monotonic() - started)


class _Training:
    def __init__(
        self, task: Task, program: Program, family: Family, setting: Setting, optimisation: Optimisation
    ) -> None:
        self._policy, self._batches = task.policy, task.batches
        self._program, self._family = program, family
        self._setting, self._optimisation = setting, optimisation
        self._parameters = list(self._policy.parameters())
        self._optimiser = optimisation.make_optimiser(self._parameters)
        device = self._parameters[0].device
        self._autocast = torch.autocast(
            device.type, dtype=torch.bfloat16, enabled=optimisation.precision is Precision.BFLOAT16
        )
        self._beta = torch.tensor(setting.beta, dtype=torch.float64, device=device)
        steps = torch.arange(setting.steps, dtype=torch.float64)
        self._progress = (steps / setting.steps).to(device).unbind()
        self._unread: list[Tensor] = []
        self.series: dict[str, list[float]] = {}

    def take_step(self, step: int) -> None:
        batch = self._batches.take(self._policy)
        with self._autocast:
            said = self._policy.log_probabilities(batch)
        said = {name: each.float() for name, each in said.items()}
        leaves = {name: each.detach().requires_grad_() for name, each in said.items()}
        inputs = {**batch.inputs, **leaves, "beta": self._beta, "progress": self._progress[step]}
        with _blame_the_loss_for_memory():
            loss = self._program(inputs).mean()
            slopes = _find_slopes(loss, leaves)
        # What the loss kept for its gradient is free: memory that runs out from here on is not its.
        torch.autograd.backward([said[name] for name in slopes], list(slopes.values()))
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._optimisation.clip)
        loss = loss.detach().float()
        self._update(step, is_finite=torch.isfinite(loss + norm))
        row = {"loss": loss, "gradient_norm": norm, **describe(self._family, inputs)}
        if step == 0:
            self.series = {name: [] for name in row}
            self._watch = Watch(self._setting, measure_reference(self._family, inputs))
        self._unread.append(torch.stack([*row.values()]))

    def _update(self, step: int, *, is_finite: Tensor) -> None:
        share = self._optimisation.find_share(step, self._setting.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = self._setting.learning_rate * share
        # What a gradient scaler tells it: at 1 the step is skipped, and nobody has to wait for the number.
        self._optimiser.found_inf = (~is_finite).float()  # type: ignore[attr-defined]
        self._optimiser.step()
        self._optimiser.zero_grad()

    def look(self) -> None:
        """Writes down what is new, and raises Diverged at the first step of it that is at fault."""
        for values in torch.stack(self._unread).tolist():
            row = dict(zip(self.series, values, strict=True))
            for name, value in row.items():
                self.series[name].append(value)
            step = len(self.series["loss"]) - 1
            if (fault := self._watch.find_fault(step, row)) is not None:
                raise Diverged(*fault, step, self.series)
        self._unread.clear()

    def check_weights(self) -> None:
        if not torch.isfinite(torch.nn.utils.get_total_norm(self._parameters)):
            step = self._setting.steps - 1
            raise Diverged("non_finite", "The policy's weights are no numbers any more at the end.", step, self.series)


@contextmanager
def _blame_the_loss_for_memory() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # What an operation of a graph raises on a CPU, a failed allocation too, comes as a refusal that it caused.
        if is_out_of_memory(error) or (isinstance(error, Refused) and is_out_of_memory(error.__cause__)):
            raise LossOutOfMemory from error
        raise


def _find_slopes(loss: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of the mean loss, at each log-probability that it depends on."""
    try:
        slopes = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    except Refused:
        raise
    except Exception as error:
        if is_of_device(error):
            raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise refuse(
            RefusalCode.NOT_DIFFERENTIABLE,
            f"The loss has no gradient in training: {ascii(said[:160])[1:-1]}. Write that operation otherwise.",
        ) from error
    return {name: slope for name, slope in zip(leaves, slopes, strict=True) if slope is not None}
