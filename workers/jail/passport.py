"""What the probes say about a loss: what it looks at, how it treats a margin, where it is odd."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role, find_input
from discovery_service.losses.fingerprints import BETAS, PROGRESS, REFERENCE_BETA
from discovery_service.losses.refusals import Refused
from workers.jail.curves import Curve, describe_curve
from workers.jail.probes import (
    PAIRS,
    Inputs,
    Loss,
    Run,
    policy_inputs,
    run_loss,
    run_losses,
    spread_batches,
    with_settings,
    working_probes,
)

VERSION = 1

USES: Mapping[Family, Mapping[str, tuple[str, ...]]] = {
    Family.PAIRWISE: {
        "reference": ("reference_chosen_logps", "reference_rejected_logps"),
        "lengths": ("chosen_lengths", "rejected_lengths"),
        "annotator": ("annotator",),
    },
    Family.AUXILIARY: {
        "reference": ("reference_chosen_logps", "reference_rejected_logps"),
        "lengths": ("chosen_lengths", "rejected_lengths"),
        "annotator": ("annotator",),
        "aux": ("chosen_aux", "rejected_aux"),
        "prompt_value": ("prompt_value",),
    },
    Family.OUTCOME: {
        "reference": ("reference_logps", "sampled_reference_logps"),
        "behavior": ("behavior_logps",),
        "outcomes": ("outcomes",),
        "predictions": ("predicted_outcomes", "sampled_predicted_outcomes"),
    },
    Family.MATCHING: {"reference": ("reference_token_logps",), "rewards": ("rewards",), "group": ("group",)},
}
_OTHER_SETTINGS = {"beta": 1.0, "progress": 0.75}
_TOLERANCE = 1e-6
_USUAL_BETAS = 3
"""Of the batches of the working range, those before the ones at unusual betas."""
_MIDDLE = 2
"""Of the batches of several magnitudes; the last one is its counterpart where one is needed."""
# A sigmoid of a batch's statistic has saturated where margins are wide: DBAQL's shows at the narrowest only.
_COUPLED_AT = ((_MIDDLE, REFERENCE_BETA), (0, BETAS[0]))


def measure_passport(loss: Loss, family: Family, curve: Curve, spread: Sequence[Run]) -> dict[str, Any]:
    """JSON, without what is not finite. `spread`: the runs of the batches of all magnitudes. Raises Refused."""
    batch, run = spread_batches(family)[_MIDDLE], spread[_MIDDLE]
    changed = _changed(batch, family)
    runs = run_losses(loss, list(changed.values()), family)
    uses = {name: _differs(run, other) for name, other in zip(changed, runs, strict=True)}
    passport = {
        "version": VERSION,
        "family": family.value,
        "uses": uses,
        "is_batch_coupled": any(_is_batch_coupled(loss, *each, family) for each in _COUPLED_AT),
        "is_margin_only": family in PAIRS and _is_margin_only(loss, batch, run, family, uses),
        "is_beta_equivariant": _is_beta_equivariant(loss, spread[-1], family),
        "is_finite_in_bf16": _is_finite_in_bf16(loss, family),
        **describe_curve(curve),
    }
    return passport | {"flags": [flag for flag, is_raised in _FLAGS.items() if is_raised(passport)]}


def _changed(batch: Inputs, family: Family) -> dict[str, Inputs]:
    """The same batch with each group of inputs taken from another one, from one row further on."""
    other = spread_batches(family)[-1]
    groups = {name: {each: other[each].roll(1, dims=0) for each in names} for name, names in USES[family].items()}
    groups |= {name: {name: torch.tensor(value, dtype=torch.float64)} for name, value in _OTHER_SETTINGS.items()}
    return {name: {**batch, **group} for name, group in groups.items()}


def _differs(run: Run, other: Run) -> bool:
    pairs = [(run.values, other.values), *((run.gradients[name], other.gradients[name]) for name in run.gradients)]
    return not all(_equal(ours, theirs) for ours, theirs in pairs)


def _equal(ours: Tensor, theirs: Tensor) -> bool:
    return torch.allclose(ours, theirs, rtol=_TOLERANCE, atol=_TOLERANCE * _size(ours), equal_nan=True)


def _size(values: Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.abs().mean()) if len(finite) else 0.0


def _is_batch_coupled(loss: Loss, index: int, beta: float, family: Family) -> bool:
    """Whether a row changes when the rows of the other half, and no prompt of its own, are others."""
    batches = spread_batches(family)
    batch, other = with_settings(batches[index], beta, PROGRESS[index]), batches[-1]
    names = [each.name for each in INPUTS[family] if each.role is not Role.SETTING]
    half = len(batch[names[0]]) // 2
    mixed = {**batch, **{name: torch.cat((batch[name][:half], other[name][half:])) for name in names}}
    own, other_run = run_losses(loss, [batch, mixed], family)
    return _differs(_first(own, half), _first(other_run, half))


def _first(run: Run, rows: int) -> Run:
    return Run(run.values[:rows], {name: each[:rows] for name, each in run.gradients.items()})


def _is_margin_only(loss: Loss, batch: Inputs, run: Run, family: Family, uses: Mapping[str, bool]) -> bool:
    """Whether pairs with the same margin are the same, however likely their answers are."""
    if any(used for name, used in uses.items() if name not in ("reference", "beta", "progress")):
        return False
    shift = torch.arange(len(run.values)).remainder(7) - 10.0
    moved = {
        "policy_chosen_logps": batch["policy_chosen_logps"] + 3 * shift,
        "reference_chosen_logps": batch["reference_chosen_logps"] + 2 * shift,
        "policy_rejected_logps": batch["policy_rejected_logps"] + shift,
    }
    return not _differs(run, run_loss(loss, {**batch, **moved}, family))


def _is_beta_equivariant(loss: Loss, run: Run, family: Family) -> bool:
    """Whether twice the beta at half the log-ratios pushes the same way, so that beta only sets their scale."""
    # The widest: there a switch that looks at something else than the margin is thrown.
    batch = spread_batches(family)[-1]
    halved = {name: (batch[name] + _reference_of(batch, name)) / 2 for name in policy_inputs(family)}
    other = run_loss(loss, {**batch, **halved, "beta": batch["beta"] * 2}, family)
    ours, theirs = (torch.cat([each.flatten() for each in one.gradients.values()]).double() for one in (run, other))
    return bool(torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > 1 - _TOLERANCE)


def _reference_of(batch: Inputs, policy_input: str) -> Tensor:
    return batch[policy_input.replace("policy", "reference")]


def _is_finite_in_bf16(loss: Loss, family: Family) -> bool | None:
    """None where an operation of it does not exist in that precision."""
    batches = [
        {name: _in_bf16(name, value, family) for name, value in probe.inputs.items()}
        for probe in working_probes(family)[:_USUAL_BETAS]
    ]
    try:
        return all(run.is_finite for run in run_losses(loss, batches, family))
    except Refused:
        return None


def _in_bf16(name: str, value: Tensor, family: Family) -> Tensor:
    known = find_input(family, name)
    is_number = known is not None and not known.is_integer and known.role is not Role.SETTING
    return value.bfloat16() if is_number else value


def _rises_between(passport: Mapping[str, Any]) -> bool:
    return any(end is not None for _, end in passport["rises"])


def _falls_without_end(passport: Mapping[str, Any]) -> bool:
    """Only of a margin: log-probabilities end at 0."""
    tail = passport["tails"]["right"]
    return passport["is_margin_only"] and tail["shape"] not in ("flat", "not finite") and tail["slope"] < 0


_FLAGS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "rises_at_zero": lambda passport: (passport["slope_at_zero"] or 0) > 0,
    "hump": _rises_between,
    "jumps": lambda passport: bool(passport["jumps"]),
    "unbounded_below": _falls_without_end,
    "not_finite_in_bf16": lambda passport: passport["is_finite_in_bf16"] is False,
}
"""What is odd. It is shown and told to the model, and never a reason to refuse."""
