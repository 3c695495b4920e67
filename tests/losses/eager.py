"""Sources as plain eager functions, executed here and nowhere in the product."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS
from discovery_service.losses.known import list_known
from workers.jail.draws import Inputs
from workers.jail.probes import Loss

# As in the jail; vectors of 64 rows are ten times slower where threads wait for one another.
torch.set_num_threads(1)

KNOWN = {each.name: each for each in list_known(Family.PAIRWISE)}
_PAIR = ("policy_chosen_logps", "policy_rejected_logps", "reference_chosen_logps", "reference_rejected_logps")


def load(text: str) -> Callable[..., Tensor]:
    """The last function of the source."""
    scope: dict[str, Any] = {"torch": torch, "F": torch.nn.functional, "math": math}
    exec(text, scope)
    return [value for value in scope.values() if inspect.isfunction(value)][-1]


def eager(text: str) -> Loss:
    function = load(text)
    known = {each.name for inputs in INPUTS.values() for each in inputs}
    names = [name for name in inspect.signature(function).parameters if name in known]
    return lambda inputs: function(**{name: inputs[name] for name in names})


def known(name: str) -> Loss:
    return eager(KNOWN[name].text)


def of_margin(formula: Callable[[Tensor, Inputs], Tensor]) -> Loss:
    """A pairwise loss of the margin rho."""

    def loss(inputs: Inputs) -> Tensor:
        policy_chosen, policy_rejected, reference_chosen, reference_rejected = (inputs[name] for name in _PAIR)
        return formula((policy_chosen - policy_rejected) - (reference_chosen - reference_rejected), inputs)

    return loss
