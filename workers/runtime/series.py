"""What is written down of every step beside the loss and its gradient, by family, from what the loss was given."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role

Inputs = Mapping[str, Tensor]

LOG_RATIO = "log_ratio"
"""How the series end that tell how far the policy is from its reference: in nats an answer, on average."""

STEP = "step"
"""The series that says of which step each point is, counted from 0; only where series have been thinned."""
MOST_POINTS = 2000
"""Of one series: 30,000 steps are more than a message may hold, and no plot shows a tenth of them."""


def thin(series: Mapping[str, list[float]], most: int = MOST_POINTS) -> dict[str, list[float | None]]:
    """As they are if no longer than that; else one in so many steps as it was, the first and the last among them."""
    last = max(map(len, series.values()), default=0) - 1
    if last < most:
        return {name: [*values] for name, values in series.items()}
    steps = [*range(0, last, math.ceil(last / (most - 1))), last]
    thinned = {name: [values[step] for step in steps] for name, values in series.items()}
    return {STEP: [float(step) for step in steps], **thinned}


def describe(family: Family, inputs: Inputs) -> dict[str, Tensor]:
    """Each 0-dimensional, by the name of its series; the same names for every batch of a family.

    `kl_estimate` is half the mean square of the log-ratios of whole answers: never negative, and right to the second
    order whichever of the two policies they come from. `margin` is in nats, without beta.
    """
    with torch.no_grad():
        return _DESCRIBE[family](inputs)


def measure_reference(family: Family, inputs: Inputs) -> float:
    """How many nats an answer costs the reference, on average."""
    said = [inputs[each.name] for each in INPUTS[family] if each.role is Role.REFERENCE]
    answers = [each if each.dim() == 1 else (each * inputs["mask"]).sum(1) for each in said]
    return float(torch.cat(answers).abs().mean())


def _describe_pairs(inputs: Inputs) -> dict[str, Tensor]:
    chosen = inputs["policy_chosen_logps"] - inputs["reference_chosen_logps"]
    rejected = inputs["policy_rejected_logps"] - inputs["reference_rejected_logps"]
    margin = chosen - rejected
    return {
        "margin": margin.mean(),
        "accuracy": (margin > 0).float().mean(),
        "kl_estimate": _estimate_kl(torch.cat((chosen, rejected))),
        "chosen_log_ratio": chosen.mean(),
        "rejected_log_ratio": rejected.mean(),
    }


def _describe_outcomes(inputs: Inputs) -> dict[str, Tensor]:
    sampled = inputs["sampled_policy_logps"] - inputs["sampled_reference_logps"]
    return {
        "sampled_outcome": inputs["sampled_predicted_outcomes"].float().mean(),
        "kl_estimate": _estimate_kl(sampled),
        "log_ratio": (inputs["policy_logps"] - inputs["reference_logps"]).mean(),
        "sampled_log_ratio": sampled.mean(),
    }


def _describe_tokens(inputs: Inputs) -> dict[str, Tensor]:
    ratios = ((inputs["policy_token_logps"] - inputs["reference_token_logps"]) * inputs["mask"]).sum(1)
    return {"kl_estimate": _estimate_kl(ratios), "log_ratio": ratios.mean()}


def _estimate_kl(ratios: Tensor) -> Tensor:
    return 0.5 * ratios.square().mean()


_DESCRIBE: Mapping[Family, Callable[[Inputs], dict[str, Tensor]]] = {
    Family.PAIRWISE: _describe_pairs,
    Family.AUXILIARY: _describe_pairs,
    Family.OUTCOME: _describe_outcomes,
    Family.MATCHING: _describe_tokens,
}
