"""DiscoPOP's losses as they were published, as methods: accepted as they stand, and unchanged in effect."""

import math
import textwrap
from typing import Any

import pytest
import torch
from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.refusals import RefusalCode
from discovery_service.losses.source import check_source
from tests.losses.sources import codes, list_published

torch.set_num_threads(1)


METHODS = list_published()
STATEFUL = "bco_pair_loss"
SMOOTHED = "sigmoid_loss"
SETTINGS = {"label_smoothing": 0.1}


def _run(text: str, name: str, *inputs: Tensor, **settings: float) -> tuple[Tensor, ...]:
    """Value and gradients; as a method where it takes self."""
    scope: dict[str, Any] = {"torch": torch, "F": torch.nn.functional, "math": math}
    exec(text, scope)
    leaves = [each.clone().requires_grad_() for each in inputs]
    if "self" in text:
        owner = type("Trainer", (), {name: scope[name], **settings})()
        value = getattr(owner, name)(*leaves)
    else:
        value = scope[name](*leaves, settings["beta"])
    gradients = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    return value.detach(), *(torch.zeros(()) if each is None else each for each in gradients)


def test_the_published_file_is_all_there() -> None:
    assert len(METHODS) == 17


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {STATEFUL}))
def test_a_published_loss_is_accepted_and_its_plain_form_computes_the_same(name: str) -> None:
    checked = check_source(METHODS[name], Family.PAIRWISE, name=name, values=SETTINGS)
    assert checked.entry == name
    assert "self" not in checked.text
    assert "import" not in checked.text
    assert check_source(checked.text, Family.PAIRWISE) == checked
    if "beta" not in checked.inputs:
        return
    inputs = torch.randn(4, 7, generator=torch.Generator().manual_seed(0)).unbind()
    published = _run(textwrap.dedent(METHODS[name]), name, *inputs, beta=0.05, **SETTINGS)
    plain = _run(checked.text, name, *inputs, beta=0.05)
    assert all(torch.equal(one, other) for one, other in zip(published, plain, strict=True))


def test_label_smoothing_needs_a_value_from_somewhere() -> None:
    assert codes(METHODS[SMOOTHED]) == {RefusalCode.MISSING_VALUE}


def test_the_running_mean_of_bco_is_refused_as_state() -> None:
    assert codes(METHODS[STATEFUL]) == {RefusalCode.STATE}
