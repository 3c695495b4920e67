"""What a reply is read as before its candidate has a row: which function it means, and what the loss is called."""

import json

import pytest

from discovery_service.domain.families import Family
from discovery_service.engine.proposals import SaidLoss, read_loss
from tests.losses.sources import check

DPO = "def dpo(policy_chosen_logps, beta):\n    return -beta * policy_chosen_logps\n"
MINE = "def mine(policy_rejected_logps, beta):\n    return _soft(beta * policy_rejected_logps)\n"
SOFT = "def _soft(x):\n    return F.softplus(x)\n"
INDENTED = "".join(f"    {line}\n" for line in MINE.splitlines())


def read(reply: str) -> SaidLoss:
    said = read_loss(reply)
    assert isinstance(said, SaidLoss), said
    return said


@pytest.mark.parametrize(
    "source", [SOFT + DPO + MINE, DPO + SOFT + MINE, DPO + MINE + SOFT], ids=["helper first", "between", "last"]
)
def test_of_several_functions_a_reply_without_a_name_means_the_last_that_nothing_calls(source: str) -> None:
    said = read(f"A reminder and an idea.\n```python\n{source}```\n")
    assert said.name == "mine"
    assert check(said.source, Family.PAIRWISE, name=said.name).entry == "mine"


@pytest.mark.parametrize(("source", "name"), [(INDENTED, "mine"), ("def f(x):\n    return f(x)\n", "f")])
def test_a_reply_without_a_name_has_that_of_its_function(source: str, name: str) -> None:
    assert read(json.dumps({"code": source})).name == name


def test_a_name_that_is_given_counts() -> None:
    assert read(json.dumps({"name": "dpo", "code": DPO + SOFT + MINE})).name == "dpo"
