"""A source run as Python and its graph give the same numbers; the Python runs in a locked process alone."""

import json

import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role, Shape
from discovery_service.losses.graph import read_graph
from discovery_service.losses.refusals import RefusalCode, Refused
from discovery_service.losses.source import CheckedSource, check_source, is_rewritten
from tests.jail.compiler.running import compile_text, pairwise
from tests.jail.compiler.sources import ACCEPTED, OTHER_FAMILIES
from workers.gate.compare import compare
from workers.jail.batches import make_batch, make_weights
from workers.jail.cases import CASES, ROWS, TOKENS
from workers.jail.compiler import compile_request
from workers.jail.execute import compute_graph, execute_request, execute_sent, execute_source
from workers.runtime.graph import Program

SOURCES = {
    **{name: (Family.PAIRWISE, text) for name, text in ACCEPTED.items()},
    **OTHER_FAMILIES,
}


@pytest.mark.parametrize("title", SOURCES)
def test_source_and_graph_agree(title: str) -> None:
    family, text = SOURCES[title]
    checked, program = compile_text(text, family)
    computed = json.loads(json.dumps(compute_graph(program)))
    for executed in (execute_source(checked), execute_sent(text, checked)):
        assert compare(json.loads(json.dumps(executed)), computed) is None


def test_python_gets_python_numbers() -> None:
    """Where a tensor would do as well, math would not take one and Python would not choose by it."""
    text = pairwise("w = 2.0 if isinstance_free(beta) else 1.0\nreturn w * F.softplus(-beta * z)")
    text = "def isinstance_free(x):\n    return math.floor(x * 10) > 3\n" + text
    checked, program = compile_text(text)
    assert compare(execute_source(checked), compute_graph(program)) is None


def test_an_unlocked_process_executes_nothing() -> None:
    with pytest.raises(RuntimeError, match="locked child only"):
        execute_request({"checked": check_source(ACCEPTED["detach"], Family.PAIRWISE).document(), "sent": None})


def test_the_job_computes_what_the_job_compiled() -> None:
    compiled = compile_request({"source": ACCEPTED["detach"], "family": "pairwise"})
    computed = compute_graph(Program(read_graph(compiled["graph"])))
    assert compare(execute_source(check_source(ACCEPTED["detach"], Family.PAIRWISE)), computed) is None


@pytest.mark.parametrize(("body", "code"), [("return z.mean()", "scalar_result"), ("return z[:1]", "wrong_shape")])
def test_a_graph_with_another_result_than_one_loss_a_row_is_refused(body: str, code: str) -> None:
    compiled = compile_request({"source": pairwise(body), "family": "pairwise"})
    with pytest.raises(Refused) as caught:
        compute_graph(Program(read_graph(compiled["graph"])))
    assert caught.value.refusals[0].code.value == code


def _checked(text: str) -> CheckedSource:
    """As if the static check had let it through."""
    policy = ("policy_chosen_logps", "policy_rejected_logps", "reference_chosen_logps", "reference_rejected_logps")
    return CheckedSource(Family.PAIRWISE, text, "loss", (*policy, "beta"), ())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("return z.mean()", "scalar_result"),
        ("return z[:1]", "wrong_shape"),
        ("return z.long()", "wrong_dtype"),
        ("return z.detach()", "not_differentiable"),
        ("return 'text'", "wrong_shape"),
        ("return F.softplus(-z) / (beta - beta)", None),
        ("return z * (1 / (beta - beta))", "wrong_argument"),
        ("return open('/etc/passwd')", "wrong_argument"),
        ("import os\nreturn z", "forbidden_import"),
        ("return z * __builtins__['__import__']('os').getpid()", "forbidden_import"),
        ("reference_chosen_logps.mul_(2)\nreturn z", "in_place"),
        ("return z + missing", "wrong_argument"),
    ],
)
def test_what_goes_wrong_is_the_candidates_fault(body: str, code: str | None) -> None:
    if code is None:
        assert "inf" in json.dumps(execute_source(_checked(pairwise(body))))
        return
    with pytest.raises(Refused) as caught:
        execute_source(_checked(pairwise(body)))
    assert caught.value.refusals[0].code.value == code
    assert caught.value.refusals[0].message.isprintable()


SHARED = {
    "+z": "b = +z\nb += 1.0",
    "torch.positive": "b = torch.positive(z)\nb += 1.0",
    "a list": "t = []\nt.append(z)\nb = t[0]\nb += 1.0",
    "a loop over a list": "for i, b in enumerate([z, 2 * z]):\n    b += 1.0",
    "pairs": "for b, c in zip([z], [z]):\n    b += 1.0",
    "a comprehension": "b = [each for each in [z]][0]\nb += 1.0",
    "broadcasting": "b, c = torch.broadcast_tensors(z, z)\nb += 1.0",
    "a helper that returns what it got": "b = same(z)\nb += 1.0",
    "a list that a helper takes": "b = first([z])\nb += 1.0",
}
HELPERS = "def same(x):\n    return x\n\ndef first(xs):\n    return xs[0]\n\n"


@pytest.mark.parametrize("how", SHARED)
def test_an_update_that_reaches_another_name_is_found_in_the_source_as_it_was_sent(how: str) -> None:
    text = HELPERS + pairwise(f"{SHARED[how]}\nreturn -F.logsigmoid(beta * z) + 0.0 * b")
    checked, program = compile_text(text)
    assert is_rewritten(text, checked)
    computed = compute_graph(program)
    assert compare(execute_source(checked), computed) is None  # what is stored says nothing of it
    refusal = compare(execute_sent(text, checked), computed)
    assert refusal is not None
    assert refusal.code is RefusalCode.SEMANTICS_DIFFER


def test_an_update_that_pytorch_itself_forbids_is_refused_with_what_to_write() -> None:
    text = pairwise("w = torch.exp(-z.abs())\nw /= w.mean()\nreturn -w * F.logsigmoid(beta * z)")
    checked, _ = compile_text(text)
    with pytest.raises(Refused, match="write x = x \\+ y") as caught:
        execute_sent(text, checked)
    assert caught.value.refusals[0].code is RefusalCode.IN_PLACE


METHOD = """
from __future__ import annotations
from typing import Optional
import torch.nn.functional as nnf

class_free = 2.0

def loss(self, policy_chosen_logps: torch.FloatTensor, policy_rejected_logps, /, tau: Optional[float] = 0.5,
         flag=True, *, scale=None):
    from math import log
    assert isinstance(policy_chosen_logps, torch.Tensor), "no tensor"
    if policy_chosen_logps.shape != policy_rejected_logps.shape:
        raise ValueError("shapes")
    self.margin = 0.25
    z: torch.Tensor = policy_chosen_logps - policy_rejected_logps
    total = self.beta * z
    total -= self.margin * getattr(self, "offset", 0.125) * class_free
    return -nnf.logsigmoid(total) * tau * log(2.0) * scale + (0.1 if flag else 0.2) * self.annotator
"""


def test_a_method_is_run_as_it_was_sent_with_an_object_that_has_its_values() -> None:
    checked = check_source(METHOD, Family.PAIRWISE, values={"scale": 1.5})
    assert is_rewritten(METHOD, checked)
    assert execute_sent(METHOD, checked) == execute_source(checked)


@pytest.mark.parametrize(
    "change", ["# A comment.\n", "import torch\n", "", '"""A docstring."""\n', "from typing import Optional\n"]
)
def test_what_computes_nothing_is_not_run_twice(change: str) -> None:
    text = change + pairwise('"""Here as well."""\nassert z.dim() == 1\nx: torch.Tensor = z\nreturn F.softplus(-x)')
    assert not is_rewritten(text, check_source(text, Family.PAIRWISE))


def test_the_cases_vary_in_everything() -> None:
    assert {case.rows for case in CASES} == set(ROWS)
    for rows in ROWS:
        assert len({case.beta for case in CASES if case.rows == rows}) >= 3
    assert {min(case.progress for case in CASES), max(case.progress for case in CASES)} == {0.0, 1.0}


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("rows", ROWS)
def test_a_batch_is_the_same_each_time_and_in_the_working_range(family: Family, rows: int) -> None:
    batch, again = make_batch(family, rows, 5), make_batch(family, rows, 5)
    declared = {each.name: each for each in INPUTS[family] if each.shape is not Shape.SCALAR}
    assert set(batch) == set(declared)
    for name, each in declared.items():
        assert torch.equal(batch[name], again[name])
        assert batch[name].shape == ((rows, TOKENS) if each.shape is Shape.TOKENS else (rows,))
        assert batch[name].dtype == (torch.int64 if each.is_integer else torch.float32)
        if each.role is Role.POLICY:
            assert batch[name].max() < 0
            moved = (batch[name] - batch[name.replace("policy", "reference")]).abs()
            assert moved.max() <= 15.0
            assert rows < 3 or moved[2].max() == 0
    assert not torch.equal(batch[next(iter(declared))], make_batch(family, rows, 6)[next(iter(declared))])


def test_no_row_weighs_as_much_as_another() -> None:
    weights = make_weights(128, 0)
    assert len(set(weights.tolist())) == 128
    assert weights.min() > 0


def test_a_lack_of_memory_is_not_told_as_a_wrong_argument() -> None:
    text = "def loss(policy_chosen_logps, beta):\n    return policy_chosen_logps * torch.zeros(1 << 46).sum()\n"
    with pytest.raises(RuntimeError, match="allocate memory"):
        execute_source(_checked(text))
