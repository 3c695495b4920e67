"""All that the probes find out about a loss, and what they refuse it for."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.families import PAIRS, Family
from discovery_service.losses.refusals import Refusal, RefusalCode
from workers.jail.curves import measure_curve, shown_curve
from workers.jail.draws import Inputs
from workers.jail.fingerprint import pack_fingerprint, run_grid
from workers.jail.order import sees_order
from workers.jail.passport import measure_passport
from workers.jail.probes import Loss, Run, policy_inputs, run_losses, working_probes
from workers.jail.spread import REFERENCE, list_places, spread_batches

_NOISE = 1e-6
_PLACE = Refusal(
    RefusalCode.PLACE_IN_BATCH,
    "The loss treats a row by its place in the batch, which is chance, for batches are shuffled: make what a row counts"
    " for of its own inputs, or of all rows alike.",
)
_SCORES = {
    Family.OUTCOME: ("outcomes", "predicted_outcomes", "sampled_predicted_outcomes"),
    Family.MATCHING: ("rewards",),
}
_SCORE_OF = {
    "policy_logps": "outcomes",
    "sampled_policy_logps": "sampled_predicted_outcomes",
    "policy_token_logps": "rewards",
}


@dataclass(frozen=True)
class Examination:
    passport: dict[str, Any]
    fingerprint: bytes
    curve: dict[str, list[float | None]]
    """Value and slope by beta times the margin, for a plot."""
    refusals: tuple[Refusal, ...]

    def document(self) -> dict[str, Any]:
        return {
            "passport": self.passport,
            "fingerprint": base64.b64encode(self.fingerprint).decode("ascii"),
            "curve": self.curve,
            "refusals": [refusal.document() for refusal in self.refusals],
        }


def examine_loss(loss: Loss, family: Family) -> Examination:
    """Raises Refused where the loss fails on a batch or answers with another shape than one value a row."""
    curve, grid = measure_curve(loss, family), run_grid(loss, family)
    spread = grid.take(list_places(family, REFERENCE)).separate()
    refusals = list(_find_refusals(loss, family, spread))
    if sees_order(loss, grid, family):
        refusals.append(_PLACE)
    return Examination(
        passport=measure_passport(loss, family, curve, grid),
        fingerprint=pack_fingerprint(grid),
        curve=shown_curve(curve),
        refusals=tuple(refusals),
    )


def _find_refusals(loss: Loss, family: Family, spread: list[Run]) -> Iterator[Refusal]:
    """From the working range and from the runs at the reference beta."""
    probes = working_probes(family)
    working = run_losses(loss, [probe.inputs for probe in probes], family)
    runs = [*working, *spread]
    broken = next((probe.where for probe, run in zip(probes, working, strict=True) if not run.is_finite), None)
    if broken is not None:
        message = f"The loss or its gradient is not finite {broken}; bound what overflows or is divided by zero."
        yield Refusal(RefusalCode.NON_FINITE, message)
    if not any(run.has_gradient for run in runs):
        message = "The loss has no gradient with respect to the policy's log-probabilities in the range of training."
        yield Refusal(RefusalCode.ZERO_GRADIENT, message)
    elif broken is None and _is_reversed(loss, family, runs, spread):
        better = "preferred answers" if family in PAIRS else "answers with higher scores"
        message = f"The loss makes {better} less likely everywhere; it is the wrong way round, so change its sign."
        yield Refusal(RefusalCode.REVERSED, message)


def _is_reversed(loss: Loss, family: Family, runs: list[Run], spread: list[Run]) -> bool:
    if family in PAIRS:
        # What a step downhill adds to each pair's margin.
        widening = torch.cat([_push(run, "policy_chosen_logps") - _push(run, "policy_rejected_logps") for run in runs])
        largest = widening.abs().max()
        return bool(largest > 0 and widening.max() < _NOISE * largest)
    batches = spread_batches(family)
    flipped = run_losses(loss, [_flipped(batch, family) for batch in batches], family)
    return all(_follows(*each, family) < 0 for each in zip(batches, spread, flipped, strict=True))


def _push(run: Run, name: str) -> Tensor:
    """By how much a step downhill raises each row's log-probability."""
    return -run.gradients[name].view(len(run.values), -1).sum(dim=1)


def _flipped(batch: Inputs, family: Family) -> Inputs:
    """What was good is bad: only what the loss makes of the scores changes sides."""
    return {**batch, **{name: -batch[name] for name in _SCORES[family]}}


def _follows(batch: Inputs, run: Run, flipped: Run, family: Family) -> float:
    """Below 0 where rows are pushed against their scores."""
    changes = {name: _push(run, name) - _push(flipped, name) for name in policy_inputs(family)}
    return sum(float((change * batch[_SCORE_OF[name]]).sum()) for name, change in changes.items())
