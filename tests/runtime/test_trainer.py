"""Training does what its parts say: the steps, what is written down of them, and when it gives up."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Setting
from discovery_service.domain.worlds import RECIPES, ArenaSize, Precision, Schedule
from discovery_service.losses.families import INPUTS
from discovery_service.losses.graph import read_graph
from discovery_service.losses.refusals import RefusalCode, Refused
from discovery_service.losses.source import check_source
from tests.losses.sources import function, is_one_sentence
from tests.runtime.scoring import Scorer, Scoring
from workers.jail.compiler import compile_source
from workers.runtime.divergence import FARTHEST, PATIENCE, Diverged, Watch
from workers.runtime.graph import BINDINGS, Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import LOOK, LossOutOfMemory, Trained, train

# As in a runtime; layers of 16 are ten times slower where threads wait for one another.
torch.set_num_threads(1)

RECIPE = asdict(RECIPES[ArenaSize.MINI])
OPTIMISATION = Optimisation.of(RECIPE)
CONSTANT = replace(OPTIMISATION, warm_up=0, schedule=Schedule.CONSTANT)
SETTING = Setting(beta=0.5, learning_rate=3e-3, steps=60)
DPO = function("return -F.logsigmoid(beta * z)")
# From step 40 of 60 on.
LATE_NAN = function(
    "return -F.logsigmoid(beta * z) + math.log(40 / 60 - 1e-6 - progress)",
    parameters="policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta,"
    " progress",
)


def compiled(source: str, family: Family = Family.PAIRWISE) -> Program:
    return Program(read_graph(compile_source(check_source(source, family))))


def run(
    source: str,
    task: Scoring | None = None,
    setting: Setting = SETTING,
    optimisation: Optimisation = OPTIMISATION,
    *,
    family: Family = Family.PAIRWISE,
    on_step: Callable[[int], None] = lambda _: None,
) -> Trained:
    task = task or Scoring(family)
    return train(task, compiled(source, family), family, setting, optimisation, on_step=on_step)


def failure(*given: Any, **named: Any) -> Diverged:
    with pytest.raises(Diverged) as caught:
        run(*given, **named)
    assert is_one_sentence(caught.value.message)
    return caught.value


def test_a_policy_learns_what_it_is_trained_for() -> None:
    series = run(DPO, setting=replace(SETTING, learning_rate=1e-2)).series
    assert series["loss"][0] == pytest.approx(math.log(2))
    assert sum(series["loss"][-10:]) / 10 < 0.6
    assert sum(series["accuracy"][-10:]) / 10 > 0.6
    assert series["margin"][-1] > 1
    assert series["chosen_log_ratio"][-1] - series["rejected_log_ratio"][-1] == pytest.approx(series["margin"][-1])


def test_the_steps_are_those_of_a_plain_loop() -> None:
    ours, plain = Scoring(), Scoring()
    trained = run(DPO, ours)
    optimiser = torch.optim.AdamW(plain.policy.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.0)
    losses = []
    for step in range(SETTING.steps):
        cosine = 0.5 * (1 + math.cos(math.pi * max(0, step - 10) / (SETTING.steps - 10)))
        optimiser.param_groups[0]["lr"] = SETTING.learning_rate * min(1, (step + 1) / 10) * cosine
        batch = plain.take(plain.policy)
        given = {**batch.inputs, **plain.policy.log_probabilities(batch)}
        rho = given["policy_chosen_logps"] - given["policy_rejected_logps"]
        rho = rho - (given["reference_chosen_logps"] - given["reference_rejected_logps"])
        loss = -torch.nn.functional.logsigmoid(SETTING.beta * rho).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.policy.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    assert trained.series["loss"] == pytest.approx(losses, abs=1e-6)
    torch.testing.assert_close(ours.weights(), plain.weights(), rtol=0, atol=1e-5)


def test_the_same_training_gives_the_same_bits_and_touches_no_generator() -> None:
    first, second = Scoring(), Scoring()
    states: list[Tensor] = []
    series = run(DPO, first, on_step=lambda _: states.append(torch.get_rng_state())).series
    assert run(DPO, second).series == series
    assert torch.equal(first.weights(), second.weights())
    assert all(torch.equal(each, states[0]) for each in states)


def test_it_computes_deterministically_and_leaves_that_as_it_was() -> None:
    seen = []
    run(DPO, on_step=lambda _: seen.append(torch.are_deterministic_algorithms_enabled()))
    assert all(seen)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("steps", [1, 7, 20, 23])
def test_every_step_is_told_and_written_down(steps: int) -> None:
    told: list[int] = []
    trained = run(DPO, setting=replace(SETTING, steps=steps), on_step=told.append)
    assert told == list(range(1, steps + 1))
    assert {len(values) for values in trained.series.values()} == {steps}


def _spy(loss: Program, given: list[dict[str, Tensor]]) -> Any:
    def program(inputs: dict[str, Tensor]) -> Tensor:
        given.append(inputs)
        return loss(inputs)

    return program


def test_progress_and_beta_are_given_in_double_precision() -> None:
    given: list[dict[str, Tensor]] = []
    setting = Setting(beta=0.1, learning_rate=1e-3, steps=7)
    train(Scoring(), _spy(compiled(DPO), given), Family.PAIRWISE, setting, OPTIMISATION)
    assert {(each[name].dtype, each[name].shape) for each in given for name in ("beta", "progress")} == {
        (torch.float64, torch.Size())
    }
    assert [each["progress"].item() for each in given] == [step / 7 for step in range(7)]
    assert {each["beta"].item() for each in given} == {0.1}


def test_a_setting_decides_how_many_steps_at_which_rate() -> None:
    slow, fast = Scoring(), Scoring()
    start = slow.weights()
    run(DPO, slow, replace(SETTING, learning_rate=1e-4))
    run(DPO, fast, replace(SETTING, learning_rate=1e-2))
    assert (slow.weights() - start).norm() < 0.1 * (fast.weights() - start).norm()


@pytest.mark.parametrize("schedule", list(Schedule))
def test_a_schedule_warms_up_and_comes_down(schedule: Schedule) -> None:
    optimisation = replace(OPTIMISATION, schedule=schedule)
    shares = [optimisation.find_share(step, 120) for step in range(120)]
    expected = {
        Schedule.COSINE: [0.5 * (1 + math.cos(math.pi * max(0, step - 10) / 110)) for step in range(120)],
        Schedule.LINEAR: [1 - max(0, step - 10) / 110 for step in range(120)],
        Schedule.CONSTANT: [1.0] * 120,
    }[schedule]
    assert shares == [min(1, (step + 1) / 10) * each for step, each in enumerate(expected)]


@pytest.mark.parametrize("warm_up", [0, 10])
def test_a_training_may_be_as_short_as_its_warm_up(warm_up: int) -> None:
    optimisation = replace(OPTIMISATION, warm_up=warm_up)
    assert optimisation.find_share(0, 1) == (0.1 if warm_up else 1.0)
    assert 0 < optimisation.find_share(9, 10) <= 1


def test_a_recipe_is_read_as_json_gives_it() -> None:
    assert Optimisation.of({**RECIPE, "adam_betas": [0.9, 0.95], "schedule": "cosine"}) == OPTIMISATION


def test_gradients_are_clipped() -> None:
    # Adam does not see how long gradients are, but that all of them are shortened alike it does not notice either:
    # one steep step among flat ones it does.
    source = function(
        "return -F.logsigmoid(beta * z) * (1e6 if progress == 0.5 else 1.0)",
        parameters="policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta,"
        " progress",
    )
    clipped, free = Scoring(), Scoring()
    run(source, clipped, optimisation=CONSTANT)
    run(source, free, optimisation=replace(CONSTANT, clip=1e9))
    plain = Scoring()
    run(DPO, plain, optimisation=CONSTANT)
    assert (clipped.weights() - plain.weights()).norm() < 0.5 * (free.weights() - plain.weights()).norm()


def test_a_loss_of_two_values_a_row_is_their_mean() -> None:
    parameters = "policy_chosen_logps, policy_rejected_logps"
    two = run(function("return torch.cat((-policy_chosen_logps, 3 * policy_rejected_logps))", parameters=parameters))
    one = run(function("return (3 * policy_rejected_logps - policy_chosen_logps) / 2", parameters=parameters))
    assert two.series["loss"] == pytest.approx(one.series["loss"], rel=1e-4)


def test_a_loss_may_take_the_median_of_its_batch() -> None:
    """Torch's own has no version that is sure to repeat itself."""
    first, second = (run(function("return F.softplus(z.median(0).values - beta * z)")).series for _ in range(2))
    assert first == second


def test_a_loss_may_leave_inputs_of_the_policy_unused() -> None:
    series = run(function("return -policy_chosen_logps", parameters="policy_chosen_logps")).series
    assert series["chosen_log_ratio"][-1] > 1


@pytest.mark.parametrize(
    ("family", "source", "names"),
    [
        (Family.PAIRWISE, DPO, {"margin", "accuracy", "chosen_log_ratio", "rejected_log_ratio"}),
        (Family.AUXILIARY, DPO, {"margin", "accuracy", "chosen_log_ratio", "rejected_log_ratio"}),
        (
            Family.OUTCOME,
            function("return -policy_logps * outcomes", parameters="policy_logps, outcomes"),
            {"log_ratio", "sampled_log_ratio", "sampled_outcome"},
        ),
        (
            Family.MATCHING,
            function(
                "return -(policy_token_logps * mask).sum(1) * rewards", parameters="policy_token_logps, mask, rewards"
            ),
            {"log_ratio"},
        ),
    ],
    ids=["pairwise", "auxiliary", "outcome", "matching"],
)
def test_each_family_has_its_series(family: Family, source: str, names: set[str]) -> None:
    series = run(source, family=family).series
    assert series.keys() == names | {"loss", "gradient_norm", "kl_estimate"}
    assert all(math.isfinite(value) for values in series.values() for value in values)
    # The policy is its reference at the start, and no longer at the end.
    assert series["kl_estimate"][0] == pytest.approx(0, abs=1e-9)
    assert series["kl_estimate"][-1] > 0


def test_in_bfloat16_only_the_policy_computes_with_less() -> None:
    class Watched(Scorer):
        def forward(self, features: Tensor) -> Tensor:
            seen.add(self.layers(features).dtype)
            return super().forward(features)

    seen: set[torch.dtype] = set()
    task, full = Scoring(), Scoring()
    task.policy.__class__ = Watched
    halved = run(DPO, task, optimisation=replace(OPTIMISATION, precision=Precision.BFLOAT16))
    assert seen == {torch.bfloat16}
    assert {each.dtype for each in task.policy.parameters()} == {torch.float32}
    losses = run(DPO, full).series["loss"]
    assert halved.series["loss"] != losses
    assert halved.series["loss"] == pytest.approx(losses, abs=0.1)


def test_a_loss_that_becomes_no_number_ends_the_training_at_that_step() -> None:
    task = Scoring()
    weights: list[Tensor] = []
    told = failure(LATE_NAN, task, on_step=lambda _: weights.append(task.weights()))
    assert (told.code, told.step) == ("non_finite", 40)
    assert "nan at step 40 of 60, with beta 0.5" in told.message
    assert {len(values) for values in told.series.values()} == {41}
    assert math.isnan(told.series["loss"][-1])
    # What was not looked at yet did no harm.
    assert len(weights) < 40 + LOOK
    assert all(torch.equal(each, weights[39]) for each in weights[40:])
    assert torch.equal(task.weights(), weights[39])


def test_a_gradient_that_is_no_number_is_told_from_a_loss_that_is_none() -> None:
    told = failure(function("return torch.sqrt(z * z)"))
    assert (told.code, told.step) == ("non_finite", 0)
    assert "gradient is nan" in told.message
    assert told.series["loss"] == [0.0]


@pytest.mark.parametrize("steps", [1, 2])
def test_weights_that_are_no_numbers_are_no_result(steps: int) -> None:
    told = failure(DPO, setting=Setting(beta=0.5, learning_rate=1e39, steps=steps), optimisation=CONSTANT)
    assert (told.code, told.step) == ("non_finite", steps - 1)


def test_a_policy_that_runs_away_is_given_up() -> None:
    source = function("return policy_rejected_logps", parameters="policy_rejected_logps")
    told = failure(source, setting=Setting(beta=0.5, learning_rate=1.0, steps=1000))
    assert told.code == "diverged"
    ratios = told.series["rejected_log_ratio"]
    assert all(value < -FARTHEST for value in ratios[-PATIENCE:])
    assert f"from step {told.step - PATIENCE + 1} on" in told.message
    assert "rejected log ratio" in told.message or "chosen log ratio" in told.message


def _row(**changes: float) -> dict[str, float]:
    return {"loss": 1.0, "gradient_norm": 1.0, "log_ratio": 0.0, **changes}


@pytest.mark.parametrize(("name", "far"), [("gradient_norm", 1e12), ("log_ratio", -2 * FARTHEST)])
def test_one_bad_batch_ends_no_training(name: str, far: float) -> None:
    watch = Watch(SETTING, reference=10)
    rows = ([_row(**{name: far})] * (PATIENCE - 1) + [_row()]) * 3
    assert [watch.find_fault(step, row) for step, row in enumerate(rows)] == [None] * len(rows)


def test_what_is_far_depends_on_what_the_answers_cost_the_reference() -> None:
    far = _row(log_ratio=-2 * FARTHEST)
    short, long = Watch(SETTING, reference=10), Watch(SETTING, reference=500)
    assert [short.find_fault(step, far) for step in range(PATIENCE)][-1] is not None
    assert [long.find_fault(step, far) for step in range(PATIENCE)][-1] is None


def test_a_graph_that_is_out_of_bounds_for_a_batch_is_refused() -> None:
    source = function("return (z[:, None, None] * z[None, :, None] * z[None, None, :]).mean((1, 2))")
    with pytest.raises(Refused) as caught:
        run(source, Scoring(rows=300))
    assert caught.value.refusals[0].code is RefusalCode.TOO_MUCH_MEMORY


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, error: Exception) -> Tensor:
        ctx.error = error
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        raise ctx.error


def _train_with(error: Exception, *, in_policy: bool) -> None:
    task, loss = Scoring(), compiled(DPO)
    if in_policy:
        whole = task.policy.log_probabilities
        task.policy.log_probabilities = lambda batch: {  # type: ignore[method-assign]
            name: _Backward.apply(each, error) for name, each in whole(batch).items()
        }
        program: Any = loss
    else:

        def program(inputs: Any) -> Tensor:
            return _Backward.apply(loss(inputs), error)

    train(task, program, Family.PAIRWISE, SETTING, OPTIMISATION)


def test_what_fails_in_the_gradient_of_a_loss_is_the_loss_s_fault() -> None:
    with pytest.raises(Refused, match=r"no gradient in training: this operation has none\.") as caught:
        _train_with(RuntimeError("this operation has none."), in_policy=False)
    assert caught.value.refusals[0].code is RefusalCode.NOT_DIFFERENTIABLE
    with pytest.raises(RuntimeError, match="ours"):
        _train_with(RuntimeError("ours"), in_policy=True)


@pytest.mark.parametrize("in_policy", [False, True])
def test_a_card_that_fails_is_for_the_caller_to_judge(in_policy: bool) -> None:
    with pytest.raises(RuntimeError, match="CUBLAS_STATUS_EXECUTION_FAILED"):
        _train_with(RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"), in_policy=in_policy)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4194304 bytes."),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"),
    ],
)
def test_memory_that_runs_out_in_the_gradient_of_a_loss_is_the_loss_s_fault_and_in_a_policy_s_for_the_caller_to_judge(
    error: Exception,
) -> None:
    with pytest.raises(LossOutOfMemory):
        _train_with(error, in_policy=False)
    with pytest.raises(type(error)) as caught:
        _train_with(error, in_policy=True)
    assert caught.value is error


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")])
def test_memory_that_runs_out_in_an_operation_of_a_loss_is_the_loss_s_fault(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(value: Tensor) -> Tensor:
        if value.is_meta:
            return torch.nn.functional.logsigmoid(value)
        raise error

    loss = compiled(DPO)
    monkeypatch.setitem(BINDINGS, "aten.log_sigmoid.default", fail)  # type: ignore[arg-type]
    with pytest.raises(LossOutOfMemory):
        train(Scoring(), Program(loss.graph), Family.PAIRWISE, SETTING, OPTIMISATION)


def test_a_loss_is_given_all_inputs_of_its_family() -> None:
    given: list[dict[str, Tensor]] = []
    train(Scoring(), _spy(compiled(DPO), given), Family.PAIRWISE, SETTING, OPTIMISATION)
    assert given[0].keys() == {each.name for each in INPUTS[Family.PAIRWISE]}
