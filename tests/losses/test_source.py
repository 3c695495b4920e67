"""What the static check accepts, and the plain form that it writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.refusals import RefusalCode
from discovery_service.losses.source import Hyperparameter
from tests.losses.sources import INPUTS as PAIR
from tests.losses.sources import MARGIN, check, codes, function, refusals

DPO = function("return F.softplus(-beta * z)")


def test_inputs_come_in_the_order_of_the_family_whatever_the_order_of_parameters() -> None:
    checked = check("def loss(beta, progress, policy_rejected_logps, policy_chosen_logps):\n    return beta * progress")
    assert checked.entry == "loss"
    assert checked.inputs == ("policy_chosen_logps", "policy_rejected_logps", "beta", "progress")
    assert "def loss(beta, progress, policy_rejected_logps, policy_chosen_logps):" in checked.text


@pytest.mark.parametrize("family", Family)
def test_every_input_of_a_family_may_be_asked_for(family: Family) -> None:
    names = [each.name for each in INPUTS[family]]
    policy = next(each.name for each in INPUTS[family] if each.role is Role.POLICY)
    checked = check(f"def loss({', '.join(names)}):\n    return {policy}", family)
    assert checked.inputs == tuple(names)


def test_keyword_defaults_are_hyperparameters_with_their_kind_of_number() -> None:
    parameters = f"{PAIR}, tau=0.5, steps=3, offset=-1, share=1 / 4, scale=math.log(2.0), soft=True"
    checked = check(function("return tau * steps * offset * share * scale * z", parameters=parameters))
    found = [(each.name, each.value, type(each.value)) for each in checked.hyperparameters]
    assert found == [
        ("tau", 0.5, float),
        ("steps", 3, int),
        ("offset", -1, int),
        ("share", 0.25, float),
        ("scale", 0.6931471805599453, float),
        ("soft", 1, int),
    ]
    assert "share=0.25" in checked.text


def test_defaults_of_inputs_are_ignored() -> None:
    checked = check(
        "def loss(policy_chosen_logps, tau=0.2, beta=0.1, annotator=None, *, progress=0.0):\n    return beta"
    )
    assert checked.inputs == ("policy_chosen_logps", "annotator", "beta", "progress")
    assert checked.hyperparameters == (Hyperparameter("tau", 0.2),)
    assert "def loss(policy_chosen_logps, *, tau=0.2, beta, annotator, progress):" in checked.text


def test_the_reply_gives_values_that_the_source_lacks() -> None:
    source = f"def loss(self, {PAIR}, gamma):\n    return self.tau * gamma * ({MARGIN})"
    assert codes(source) == {RefusalCode.UNKNOWN_INPUT}
    assert codes(source, values={"gamma": 2}) == {RefusalCode.MISSING_VALUE}
    checked = check(source, values={"gamma": 2, "tau": 0.5, "unused": 1.0})
    assert checked.hyperparameters == (Hyperparameter("gamma", 2), Hyperparameter("tau", 0.5))
    assert check(checked.text) == checked


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_a_value_of_the_reply_has_to_be_a_number_that_a_source_could_hold(value: float) -> None:
    source = function("return self.tau * z", parameters=f"self, {PAIR}").replace("z", MARGIN)
    assert codes(source, values={"tau": value}) == {RefusalCode.MISSING_VALUE}


# The entry

HELPER = "def _soft(x, width=2.0):\n    return width * F.softplus(x / width)\n"


@pytest.mark.parametrize("order", [0, 1])
def test_helpers_stand_above_or_below_the_entry(order: int) -> None:
    parts = [HELPER, function("return _soft(-beta * z)")]
    checked = check("\n".join(parts if order else reversed(parts)), name="_soft")
    assert checked.entry == "loss"
    assert "def _soft(x, width=2.0):" in checked.text


def _named(name: str) -> str:
    return DPO.replace("def loss", f"def {name}")


def test_of_several_losses_the_named_one_counts_and_else_the_last() -> None:
    source = _named("first") + _named("second") + _named("third")
    assert check(source).entry == "third"
    assert check(source, name="nonsense").entry == "third"
    checked = check(source, name="second")
    assert checked.entry == "second"
    assert "first" not in checked.text
    assert "third" not in checked.text


def test_a_function_that_does_not_fit_is_no_entry_even_if_it_is_last_or_named() -> None:
    source = DPO + "\ndef unused(x):\n    return x * 2\n"
    assert check(source, name="unused").entry == "loss"


def test_further_losses_with_self_are_left_aside() -> None:
    method = "def {}(self, policy_chosen_logps):\n    return self.beta * policy_chosen_logps * self.{}\n"
    checked = check(method.format("first", "unknown") + method.format("second", "progress"))
    assert checked.entry == "second"


def test_a_local_variable_with_the_name_of_a_function_does_not_use_it() -> None:
    source = "def helper(policy_chosen_logps):\n    return policy_chosen_logps\n" + function(
        "helper = 2", "return helper * z"
    )
    assert check(source, name="helper").entry == "helper"


# self


def test_self_reads_inputs_and_settings_and_is_gone_afterwards() -> None:
    checked = check(
        "def loss(self, policy_chosen_logps: torch.FloatTensor) -> torch.FloatTensor:\n"
        '    """Keeps this."""\n'
        "    self.tau = 0.05\n"
        "    width: float = getattr(self, 'width', 2)\n"
        "    return self.beta * policy_chosen_logps / self.tau * width + self.progress\n"
    )
    assert checked.text == (
        "def loss(policy_chosen_logps, beta, progress, tau=0.05, width=2):\n"
        '    """Keeps this."""\n'
        "    return beta * policy_chosen_logps / tau * width + progress\n"
    )
    assert checked.hyperparameters == (Hyperparameter("tau", 0.05), Hyperparameter("width", 2))


def test_what_self_gives_and_a_variable_of_the_same_name_stay_apart() -> None:
    checked = check(
        "def loss(self, policy_chosen_logps):\n"
        "    beta = self.beta * 2\n"
        "    return beta * policy_chosen_logps + self.beta\n"
    )
    assert checked.text == (
        "def loss(policy_chosen_logps, beta):\n"
        "    given_beta = beta\n"
        "    beta = given_beta * 2\n"
        "    return beta * policy_chosen_logps + given_beta\n"
    )


def test_a_copy_of_what_self_gives_is_left_out() -> None:
    checked = check(
        "def loss(self, policy_chosen_logps):\n    beta = self.beta\n    return beta * policy_chosen_logps\n"
    )
    assert checked.text == "def loss(policy_chosen_logps, beta):\n    return beta * policy_chosen_logps\n"


# Imports

IMPORTS = """
import torch, math
import torch.nn as nn
import torch.nn.functional as functional
from torch.nn import functional as F
from torch.nn.functional import logsigmoid as ls
from math import exp
from typing import Optional
"""


def test_permitted_imports_vanish_and_their_names_are_written_in_full() -> None:
    body = "return functional.relu(z) + nn.functional.relu(z) - torch.nn.functional.relu(z) + ls(z) * exp(1.0)"
    checked = check(IMPORTS + function("import torch.nn.functional as F", body))
    assert "import" not in checked.text
    assert "F.relu(z) + F.relu(z) - F.relu(z) + F.logsigmoid(z) * math.exp(1.0)" in checked.text


# Plain form


def test_annotations_comments_and_stray_strings_vanish_and_docstrings_stay() -> None:
    checked = check(
        '"""Über den Rand: β ≥ 0."""\n'
        "EPS: float = 1e-6  # 小さい数\n"
        "UNUSED = 2\n"
        "def loss(policy_chosen_logps: 'torch.Tensor', beta: float | None) -> 'torch.Tensor':\n"
        '    """Докстринг."""\n'
        "    # تعليق\n"
        "    'stray'\n"
        "    x: torch.Tensor = policy_chosen_logps\n"
        "    return beta * x + EPS\n"
    )
    assert checked.text == (
        '"""Über den Rand: β ≥ 0."""\n'
        "EPS = 1e-06\n\n"
        "def loss(policy_chosen_logps, beta):\n"
        '    """Докстринг."""\n'
        "    x = policy_chosen_logps\n"
        "    return beta * x + EPS\n"
    )


@pytest.mark.parametrize(
    "guard",
    [
        "assert policy_chosen_logps.shape == policy_rejected_logps.shape",
        "assert z.dim() == 1 and z.size(0) > 0, f'expected one value a row, got {z.shape}'",
        "assert len(z) == policy_chosen_logps.shape[0], 'lengths'",
        "assert isinstance(beta, (float, torch.Tensor)) and beta > 0",
        "if z.shape != policy_chosen_logps.shape: raise ValueError('shapes differ')",
    ],
)
def test_asserts_on_shapes_and_settings_are_dropped(guard: str) -> None:
    assert check(function(guard, "return beta * z")) == check(function("return beta * z"))


@pytest.mark.parametrize(
    "guard",
    [
        "assert (z > 0).all()",
        "assert z.shape == (2,), print(z)",
        "assert torch.isfinite(z).all(), 'finite'",
        "assert open('/etc/passwd')",
        "assert z.shape == (2,), f'{z.mean()}'",
    ],
)
def test_asserts_on_values_are_refused(guard: str) -> None:
    assert codes(function(guard, "return beta * z")) == {RefusalCode.BRANCH_ON_TENSOR}


def test_augmented_assignment_is_written_out() -> None:
    checked = check(function("total = 0.0", "for k in range(3):", "    total += z * k", "return total"))
    assert "        total = total + z * k\n" in checked.text


@pytest.mark.parametrize(
    "lines",
    [
        ("y = z", "y += 1", "return y * z"),
        ("y = z.detach()", "y *= 2", "return y * z"),
        ("y, w = z, beta", "y -= 1", "return z"),
        ("y = z if beta > 1 else policy_chosen_logps", "y += 1", "return z"),
        ("policy_chosen_logps += 1", "return z"),
        ("y = policy_chosen_logps[:]", "y += 1", "return y"),
        ("y = z", "for k in range(2):", "    y += z", "return y"),
        ("for y in (z, -z):", "    y += 1", "return z"),
        ("x = y = z * 2", "x += 1", "return y"),
        ("x = z * 2; y = x; x += 1; return y",),
    ],
)
def test_augmented_assignment_to_shared_memory_is_refused(lines: tuple[str, ...]) -> None:
    assert codes(function(*lines)) == {RefusalCode.IN_PLACE}


@pytest.mark.parametrize(
    "lines",
    [
        ("y = z", "y += 1", "return y"),
        ("y = z * 2", "y += 1", "return y * z"),
        ("policy_chosen_logps = policy_chosen_logps * 2", "policy_chosen_logps += z", "return policy_chosen_logps"),
        ("beta *= 2 - progress", "return beta * z"),
        ("x = z * 2", "y = x + 1", "x += 1", "return x * y"),
    ],
)
def test_augmented_assignment_to_memory_of_its_own_is_accepted(lines: tuple[str, ...]) -> None:
    assert codes(function(*lines, parameters=f"{PAIR}, progress")) == set()


def test_a_source_that_stands_indented_as_in_its_class_is_accepted() -> None:
    indented = "".join(f"    {line}\n" for line in DPO.splitlines())
    assert check(indented) == check(DPO)


def test_windows_line_ends_and_a_byte_order_mark_make_no_difference() -> None:
    assert check("\ufeff" + DPO.replace("\n", "\r\n")) == check(DPO)


def test_a_list_outside_functions_cannot_keep_anything() -> None:
    checked = check("WEIGHTS = [0.25, 0.75]\n" + function("return WEIGHTS[0] * z"))
    assert "WEIGHTS = (0.25, 0.75)\n" in checked.text


@given(st.text())
def test_any_docstring_leaves_a_plain_form_that_is_its_own(docstring: str) -> None:
    source = function(ascii(docstring), "return z").replace(f"    z = {MARGIN}\n    ", "    ", 1)
    checked = check(source.replace("return z", f"return {MARGIN}"))
    assert check(checked.text) == checked


@pytest.mark.parametrize(
    "lines",
    [
        ("w = torch.special.log_ndtr(z)", "return -w"),
        ("with torch.no_grad():", "    w = torch.sigmoid(-z)", "return w * F.logsigmoid(beta * z)"),
        ("f = lambda x, k=2.0: F.softplus(k * x)", "return f(-z)"),
        ("def inner(x):", "    return x + z", "return inner(beta * z)"),
        (
            "parts = [F.softplus(-k * z) for k in (0.5, 1.0)]",
            "parts.append(z)",
            "return torch.stack(parts).mean(dim=0)",
        ),
        ("v, i = torch.sort(z, descending=True)", "return v + torch.sort(z).values"),
        ('return F.huber_loss(z, torch.zeros_like(z), reduction="none", delta=1.0)',),
        ('return z + torch.einsum("i,i->", z, z)',),
        ("eps = torch.finfo(z.dtype).eps", "return z.clamp(min=eps)"),
        ("return z.to(policy_chosen_logps.device) + torch.tensor(0.5, dtype=z.dtype, device=z.device)",),
        ("return z if beta > 0.5 else F.relu(z)",),
        ("if annotator is not None:", "    z = z * (annotator == 0)", "return z"),
        ("d = z[:, None] - z[None, ...]", "return (d ** 2).mean(dim=-1)"),
    ],
)
def test_what_losses_are_written_with_is_in_the_language(lines: tuple[str, ...]) -> None:
    source = function(*lines, parameters=f"{PAIR}, annotator")
    assert refusals(source) == []
    assert check(check(source).text) == check(source)
