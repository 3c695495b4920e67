"""Of what an examining child says, only what is known, finite and storable counts."""

import copy
import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery_service.domain.families import Family
from discovery_service.losses.graph import Graph, read_graph
from discovery_service.losses.passport import PASSPORT_FLAGS, PASSPORT_USES, describe_passport
from discovery_service.losses.refusals import RefusalCode, Refused
from discovery_service.losses.source import check_source
from tests.cli.test_gate import DPO
from workers.gate.examined import read_examined
from workers.gate.twins import read_fingerprint
from workers.jail import passport as jailed
from workers.jail.compiler import compile_source
from workers.jail.examine_graph import examine_request
from workers.jail.fingerprint import measure_fingerprint

Change = Callable[[Any], Any]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(compile_source(check_source(DPO, Family.PAIRWISE)))


@pytest.fixture(scope="module")
def answer(graph: Graph) -> Any:
    return json.loads(json.dumps(examine_request({"graph": graph.document()})))


def at(*path: Any, value: Any) -> Change:
    def change(answer: Any) -> Any:
        place = answer
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return answer

    return change


def without(*path: Any) -> Change:
    def change(answer: Any) -> Any:
        place = answer
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
        return answer

    return change


FORGED: dict[str, Change] = {
    "nothing": lambda _: {},
    "something more": at("verdict", value="accepted"),
    "no refusals": without("refusals"),
    "refusals that are none": at("refusals", value="none"),
    "a refusal that is none": at("refusals", value=[{"code": "unheard_of", "message": "x", "line": None}]),
    "a refusal with a line of its own kind": at(
        "refusals", value=[{"code": "reversed", "message": "x", "line": "\x00"}]
    ),
    "a fingerprint of letters": at("fingerprint", value="AAAA"),
    "a fingerprint that is a number": at("fingerprint", value=7),
    "a passport that is a list": at("passport", value=[]),
    "a passport of another family": at("passport", "family", value="matching"),
    "a passport with a word that cannot be stored": at("passport", "\x00", value=1),
    "half of a character": at("passport", "flags", value=["\ud800"]),
    "NUL": at("passport", "flags", value=["\x00"]),
    "an unknown use": at("passport", "uses", "colour", value=True),
    "a use that is no answer": at("passport", "uses", "beta", value="yes"),
    "nothing about the reference": without("passport", "uses", "reference"),
    "not a number": at("passport", "slope_at_zero", value=math.nan),
    "an infinite number": at("passport", "tails", "right", "slope", value=math.inf),
    "a number beyond numbers": at("passport", "value_at_zero", value=10**400),
    "a truth for a number": at("passport", "value_at_zero", value=True),
    "an unknown tail": at("passport", "tails", "right", "shape", value="curly"),
    "a stretch of three ends": at("passport", "rises", value=[[0.0, 1.0, 2.0]]),
    "stretches without end": at("passport", "rises", value=[[0.0, 1.0]] * 100_000),
    "a curve that is a number": at("curve", value=1),
    "a curve with a gap": at("curve", "z", 3, value=None),
    "a curve of several lengths": at("curve", "slope", value=[]),
    "a curve that is not finite": at("curve", "value", 3, value=math.nan),
    "an endless curve": at("curve", "z", value=[0.0] * 1_000_000),
    "no values": at("values", value=[]),
    "values that are words": at("values", 0, value=["\x00", "x"]),
    "values that are not finite numbers": at("values", 0, 0, value=math.nan),
    "gradients by another family": at("gradients", value=[{"policy_token_logps": [0.0]}] * 12),
}


@pytest.mark.parametrize("name", FORGED)
def test_an_answer_in_no_known_form_is_refused_and_nothing_of_it_stored(name: str, graph: Graph, answer: Any) -> None:
    with pytest.raises(Refused) as refused:
        read_examined(FORGED[name](copy.deepcopy(answer)), graph)
    assert refused.value.refusals[0].code in (RefusalCode.JAIL_CRASH, RefusalCode.NON_FINITE)
    assert len(refused.value.refusals[0].message) < 300


def test_what_is_not_finite_on_the_fixed_cases_is_refused_at_every_level(graph: Graph, answer: Any) -> None:
    with pytest.raises(Refused) as refused:
        read_examined(at("values", 2, 0, value="nan")(copy.deepcopy(answer)), graph)
    assert refused.value.refusals[0].code is RefusalCode.NON_FINITE


def test_a_refusals_words_can_be_stored_and_shown(graph: Graph, answer: Any) -> None:
    told = [{"code": "reversed", "message": "no\x00\u202ething", "line": None}]
    (refusal,) = read_examined(at("refusals", value=told)(copy.deepcopy(answer)), graph).refusals
    assert refusal.message.isprintable()


def test_what_an_honest_child_says_is_taken_as_it_is(graph: Graph, answer: Any) -> None:
    examined = read_examined(answer, graph)
    assert {**examined.passport, "size": None} == {**answer["passport"], "size": None}
    assert examined.curve == answer["curve"]
    assert examined.check_vectors == {part: answer[part] for part in ("values", "gradients")}
    assert any("additions an example" in sentence for sentence in describe_passport(examined.passport))


def test_the_words_of_a_passport_are_those_that_the_jail_uses() -> None:
    used = {name for uses in jailed.USES.values() for name in uses} | {"beta", "progress"}
    assert used == PASSPORT_USES
    assert set(jailed._FLAGS) == PASSPORT_FLAGS


@pytest.mark.parametrize("family", Family)
def test_a_fingerprint_has_the_length_of_its_family(family: Family) -> None:
    name = {Family.OUTCOME: "policy_logps", Family.MATCHING: "policy_token_logps"}.get(family, "policy_chosen_logps")
    raw = measure_fingerprint(lambda inputs: -inputs[name].view(len(inputs[name]), -1).sum(dim=1), family)
    assert read_fingerprint(raw, family) is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
PARTS = ["values", "gradients", "fingerprint", "passport", "curve", "refusals"]


@given(part=st.sampled_from(PARTS), forged=JSON)
@settings(max_examples=200, deadline=None)
def test_no_answer_makes_it_fail_otherwise(graph: Graph, answer: Any, part: str, forged: Any) -> None:
    # A list of no refusals is one.
    with pytest.raises(Refused) if (part, forged) != ("refusals", []) else nullcontext():
        read_examined({**answer, part: forged}, graph)
