"""What a prompt says of the contract is what the gate does."""

import ast
import re

import pytest

from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.losses.families import INPUTS
from discovery_service.losses.fingerprints import MAX_SHIFT, TWIN_COSINE
from discovery_service.losses.nodes import MAX_NODES
from discovery_service.losses.refusals import Refused
from discovery_service.losses.source import check_source
from discovery_service.losses.source.expressions import MAX_ITERATIONS
from discovery_service.losses.vocabulary import FUNCTIONAL, METHODS, TORCH_FUNCTIONS
from discovery_service.prompts.opening import write_system
from discovery_service.prompts.templates import read_words
from tests.prompts.archives import make_brief
from workers.jail.probes import MAX_RATIO, working_probes

LANGUAGE = read_words().say("language")
HEAD = "def f(policy_chosen_logps, policy_rejected_logps, beta, alpha=0.1):\n"


def _system(family: Family) -> str:
    return write_system(make_brief(family=family), read_words()).content


def test_its_numbers_are_those_of_the_gate() -> None:
    assert f"at most {MAX_NODES} tensor operations" in LANGUAGE
    assert f"`range` of at most {MAX_ITERATIONS}" in LANGUAGE
    assert f"up to {MAX_RATIO:g} nats either way at beta 0.1 and 1" in LANGUAGE
    assert f"beta times the margin within {MAX_RATIO:g} at other betas" in LANGUAGE
    assert {0.1, 1.0} < {float(each.inputs["beta"]) for each in working_probes(Family.PAIRWISE)}
    assert f"exceeds {TWIN_COSINE} at some one factor of up to {2 ** (MAX_SHIFT / 2):g} on beta" in LANGUAGE


def test_every_operation_that_it_names_is_there() -> None:
    (line,) = (line for line in LANGUAGE.split("\n") if line.startswith("- Operations"))
    named = re.findall(r"[\w.]+", line.partition("such as ")[2].partition(". One off")[0])
    assert len(named) > 30
    known = TORCH_FUNCTIONS | METHODS | {f"F.{each}" for each in FUNCTIONAL}
    assert [each for each in named if each not in known] == []


@pytest.mark.parametrize("family", Family)
def test_every_input_of_the_family_is_named_with_what_it_is(family: Family) -> None:
    said = _system(family)
    for each in INPUTS[family]:
        assert f"- `{each.name}`" in said
        assert each.meaning in said
    others = {each.name for other in Family for each in INPUTS[other]} - {each.name for each in INPUTS[family]}
    assert [name for name in others if f"- `{name}`" in said] == []


@pytest.mark.parametrize("family", Family)
def test_its_example_passes_the_static_check_and_uses_only_inputs(family: Family) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", _system(family), re.DOTALL)
    checked = check_source(example, family)
    (function,) = ast.parse(example).body
    assert isinstance(function, ast.FunctionDef)
    assert set(checked.inputs) | {each.name for each in checked.hyperparameters} == {
        each.arg for each in function.args.args
    }


@pytest.mark.parametrize(
    "body",
    [
        "    class A:\n        pass\n    return policy_chosen_logps",
        "    while beta > 0:\n        pass\n    return policy_chosen_logps",
        "    try:\n        return policy_chosen_logps\n    except ValueError:\n        return beta",
        "    x = {'a': policy_chosen_logps}\n    return x['a']",
        "    import numpy as np\n    return policy_chosen_logps",
        "    return torch.rand_like(policy_chosen_logps)",
        "    return policy_chosen_logps * policy_chosen_logps.mean().item()",
        "    x = policy_chosen_logps\n    x[x > 0] = 0\n    return x",
        "    return policy_chosen_logps.add_(1)",
        "    x = policy_chosen_logps\n    for _ in range(65):\n        x = x + beta\n    return x",
    ],
)
def test_what_it_says_is_not_there_is_refused(body: str) -> None:
    with pytest.raises(Refused):
        check_source(HEAD + body, Family.PAIRWISE)


@pytest.mark.parametrize(
    "body",
    [
        "    if beta > 1:\n        x = alpha\n    else:\n        x = beta\n    return -x * policy_chosen_logps",
        "    x = alpha if beta > 1 else 2.0\n    return -x * policy_chosen_logps",
        "    x = policy_chosen_logps\n    for _ in range(64):\n        x = x + beta\n    return -x",
        "    with torch.no_grad():\n        w = torch.exp(policy_rejected_logps)\n    return -w * policy_chosen_logps",
        "    a, b = [-x for x in (policy_chosen_logps, policy_rejected_logps)]\n    return torch.where(~(a > b), a, b)",
        "    return -torch.cat([policy_chosen_logps, -policy_rejected_logps])",
    ],
)
def test_what_it_says_is_there_passes_the_static_check(body: str) -> None:
    check_source(HEAD + body, Family.PAIRWISE)
    helper = "def g(x):\n    return x * x\n\n\n"
    check_source(helper + HEAD + "    return g(policy_chosen_logps)", Family.PAIRWISE)


def test_the_reference_is_named_as_tables_name_it() -> None:
    assert f"DPO (`{REFERENCE_LOSSES[Family.PAIRWISE]}`)" in _system(Family.PAIRWISE)
