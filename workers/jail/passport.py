"""What the probes say about a loss: what it looks at, how it treats a margin, where it is odd."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.families import PAIRS, Family
from discovery_service.losses.families import Role, find_input
from discovery_service.losses.fingerprints import BETAS
from discovery_service.losses.refusals import Refused
from workers.jail.curves import Curve, describe_curve
from workers.jail.draws import Inputs
from workers.jail.probes import Loss, policy_inputs, run_losses, setting_inputs, working_probes
from workers.jail.spread import HALVES, REFERENCE, batches_at, list_places
from workers.jail.sweep import Runs, find_differing, run_sweep

VERSION = 2

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
_PROGRESS = tuple(step / 20 for step in range(21))
_TOLERANCE = 1e-6
_USUAL_BETAS = 3
"""Of the batches of the working range, those before the ones at unusual betas."""
_FAR = 20.0
"""Nats that the rows of a batch's other half are moved by, so that a gate on its mean opens or shuts."""
_MIXED = (1, -1)

# Places of betas: a part that is there at weak or strong betas only shows at one of these.
_WEAK, _STRONG = REFERENCE - 6, REFERENCE + 4


def measure_passport(loss: Loss, family: Family, curve: Curve, grid: Runs) -> dict[str, Any]:
    """JSON, without what is not finite. `grid`: the runs of a fingerprint. Raises Refused."""
    uses = _find_uses(loss, family, grid)
    passport = {
        "version": VERSION,
        "family": family.value,
        "uses": uses,
        "is_batch_coupled": _is_batch_coupled(loss, grid, family),
        "is_margin_only": family in PAIRS and _is_margin_only(loss, grid, family, uses),
        "is_beta_equivariant": _is_beta_equivariant(loss, grid, family),
        "is_finite_in_bf16": _is_finite_in_bf16(loss, family),
        **describe_curve(curve),
    }
    return passport | {"flags": [flag for flag, is_raised in _FLAGS.items() if is_raised(passport)]}


def _find_uses(loss: Loss, family: Family, grid: Runs) -> dict[str, bool]:
    """A group of inputs is used where other ones change anything, at any of the betas and any progress."""
    places = list_places(family, _WEAK, REFERENCE, _STRONG)
    runs = run_sweep(loss, _changed(family), family)
    own = grid.take(places * len(USES[family]))
    are_used = find_differing(own, runs).view(len(USES[family]), -1).any(dim=1).tolist()
    by_beta = find_differing(grid.take(list_places(family, REFERENCE) * len(BETAS)), grid)
    settings = {"beta": bool(by_beta.any()), "progress": _is_progress_used(loss, family)}
    return dict(zip(USES[family], are_used, strict=True)) | settings


@cache
def _changed(family: Family) -> Inputs:
    """For each group of inputs the same batches with the group taken from other ones, from one row further on."""
    batches = batches_at(family, _WEAK, REFERENCE, _STRONG)
    changed = [
        {**batches, **{name: batches[name].roll((1, 1), dims=(0, 1)) for name in names}}
        for names in USES[family].values()
    ]
    return _join(changed)


def _join(parts: Sequence[Inputs]) -> dict[str, Tensor]:
    return {name: torch.cat([each[name] for each in parts]) for name in parts[0]}


def _is_progress_used(loss: Loss, family: Family) -> bool:
    runs = run_sweep(loss, _all_along(family), family)
    first = list(range(len(runs) // len(_PROGRESS)))
    return bool(find_differing(runs.take(first * len(_PROGRESS)), runs).any())


@cache
def _all_along(family: Family) -> Inputs:
    """A batch of each magnitude at every progress."""
    batches = {name: each[: len(each) // 2 : HALVES] for name, each in batches_at(family, REFERENCE).items()}
    values = torch.tensor(_PROGRESS, dtype=torch.float64)
    return _join([{**batches, "progress": torch.full_like(batches["progress"], each)} for each in values.tolist()])


def _is_batch_coupled(loss: Loss, grid: Runs, family: Family) -> bool:
    """Whether a row changes when the rows of the other half, and no prompt of its own, are others.

    A sigmoid of a batch's statistic has saturated where margins are wide: DBAQL's shows at weak betas only.
    """
    own = grid.take(list_places(family, _WEAK, REFERENCE) * len(_MIXED))
    half = own.values.shape[1] // 2
    runs = run_sweep(loss, _mixed(family), family)
    return bool(find_differing(own.first_rows(half), runs.first_rows(half)).any())


@cache
def _mixed(family: Family) -> Inputs:
    """The second half of each batch from another one, its better answers far likelier there, or far less likely."""
    batches = batches_at(family, _WEAK, REFERENCE)
    settings = setting_inputs(family)
    parts = []
    for sign in _MIXED:
        other = {name: each.roll(1, dims=0) for name, each in batches.items()}
        for name in policy_inputs(family):
            moved = other[name] - sign * _FAR * (-1 if "rejected" in name else 1)
            other[name] = moved.clamp(max=-0.5)
        half = batches[policy_inputs(family)[0]].shape[1] // 2
        parts.append(
            {
                name: each if name in settings else torch.cat((each[:, :half], other[name][:, half:]), dim=1)
                for name, each in batches.items()
            }
        )
    return _join(parts)


def _is_margin_only(loss: Loss, grid: Runs, family: Family, uses: Mapping[str, bool]) -> bool:
    """Whether pairs with the same margin are the same, however likely their answers are."""
    if any(used for name, used in uses.items() if name not in ("reference", "beta", "progress")):
        return False
    batches = batches_at(family, REFERENCE)
    shift = torch.arange(batches["policy_chosen_logps"].shape[1]).remainder(7) - 10.0
    moved = {
        "policy_chosen_logps": batches["policy_chosen_logps"] + 3 * shift,
        "reference_chosen_logps": batches["reference_chosen_logps"] + 2 * shift,
        "policy_rejected_logps": batches["policy_rejected_logps"] + shift,
    }
    runs = run_sweep(loss, {**batches, **moved}, family)
    return not bool(find_differing(grid.take(list_places(family, REFERENCE)), runs).any())


def _is_beta_equivariant(loss: Loss, grid: Runs, family: Family) -> bool:
    """Whether twice the beta at half the log-ratios pushes the same way, so that beta only sets their scale."""
    batches = batches_at(family, REFERENCE)
    halved = {name: (batches[name] + _reference_of(batches, name)) / 2 for name in policy_inputs(family)}
    runs = run_sweep(loss, {**batches, **halved, "beta": batches["beta"] * 2}, family)
    ours, theirs = (
        torch.cat([each.double().flatten(1) for each in some.gradients.values()], dim=1)
        for some in (grid.take(list_places(family, REFERENCE)), runs)
    )
    pushes = ours.any(dim=1) | theirs.any(dim=1)
    cosines = torch.nn.functional.cosine_similarity(ours, theirs, dim=1)[pushes]
    return bool(pushes.any() & (cosines > 1 - _TOLERANCE).all())


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
