"""A graph is what eager PyTorch computes at every batch size, beta and hyper-parameter; what is none is refused."""

import json
import math
import re
from pathlib import Path

import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.losses import vocabulary
from discovery_service.losses.refusals import Refused
from discovery_service.losses.source import CheckedSource, check_source
from tests.jail.compiler.running import assert_equals_eager, compile_text, load, pairwise, refusal_of
from tests.jail.compiler.sources import ACCEPTED, OTHER_FAMILIES, REFUSED, marked_line
from workers.jail import names
from workers.jail.batches import make_batch
from workers.jail.compiler import compile_request, compile_source


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_graph_is_the_loss_in_value_and_gradient(name: str) -> None:
    assert_equals_eager(ACCEPTED[name])


@pytest.mark.parametrize("title", OTHER_FAMILIES)
def test_so_it_is_in_every_family(title: str) -> None:
    family, text = OTHER_FAMILIES[title]
    assert_equals_eager(text, family)
    assert_equals_eager(text, family, batches=[make_batch(family, rows, 1, tokens=11 - rows) for rows in (2, 5, 8)])


@pytest.mark.parametrize("condition", ["mask.shape[1] == 5", "mask.size(0) > mask.size(1)", "mask.numel() % 35 == 0"])
def test_a_condition_on_the_number_of_tokens_is_refused(condition: str) -> None:
    _, text = OTHER_FAMILIES["matching token_sum"]
    branching = text.replace("    return", f"    if {condition}:\n        return rewards * ratio\n    return", 1)
    assert refusal_of(branching, Family.MATCHING)[0] == "branch_on_batch_size"


@pytest.mark.parametrize("title", REFUSED)
def test_what_cannot_be_compiled_is_refused_with_its_line(title: str) -> None:
    text = REFUSED[title]
    with pytest.raises(Refused) as caught:
        compile_request({"source": text, "family": "pairwise"})
    refusal = caught.value.refusals[0]
    assert f"{refusal.code.value}" == title.partition(": ")[2]
    assert marked_line(text) in (None, refusal.line)
    assert refusal.message.isprintable()
    assert refusal.message.endswith(".")
    assert not re.search(r"/\w+/|\.py|Traceback|\bs\d+\b|FakeTensor|SymInt", refusal.message)


# --- beta and hyper-parameters are inputs of the graph


def test_ipo_is_exact_next_to_its_minimum_at_any_beta() -> None:
    text = pairwise("return (z - 1 / (2 * beta)) ** 2")
    for beta in (0.05, 0.1, 0.3):
        batch = make_batch(Family.PAIRWISE, 7, 1)
        margin = 1 / (2 * beta) + torch.tensor([0.0, 1e-3, -1e-3, 1e-2, -1e-2, 1.0, -1.0])
        batch |= dict.fromkeys(batch.keys() & {"policy_rejected_logps", "reference_chosen_logps"}, torch.zeros(7))
        batch |= {"policy_chosen_logps": margin, "reference_rejected_logps": torch.zeros(7)}
        assert_equals_eager(text, batches=[batch], betas=(beta,))


def test_a_sweep_needs_no_second_compile() -> None:
    text = pairwise(
        "target = tau / (beta + eps) if tau < 1 else math.log(tau)\nreturn F.softplus(-beta * (z - target)) ** power",
        "beta, tau=0.5, eps=1e-3, power=2",
    )
    sweep = ({}, {"tau": 3.0}, {"tau": 0.1, "eps": 0.5}, {"power": 1.5}, {"power": 3})
    assert_equals_eager(text, sweep=sweep)


def test_the_document_says_what_it_was_made_of() -> None:
    text = pairwise("return F.softplus(-z - tau) ** n", "annotator, beta, tau=0.25, n=2")
    document = compile_source(check_source(text, Family.PAIRWISE))
    assert (document["v"], document["family"], document["torch"]) == (
        1,
        "pairwise",
        torch.__version__.partition("+")[0],
    )
    # Neither beta nor the annotator reaches the result.
    assert document["inputs"] == [name for name in text.partition("annotator")[0][9:].strip(" (,").split(", ") if name]
    assert document["hyperparameters"] == [
        {"name": "tau", "value": 0.25, "structural": False},
        {"name": "n", "value": 2, "structural": False},
    ]
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_what_the_result_does_not_need_is_no_part_of_the_graph() -> None:
    dead = "w = torch.exp(z) * beta\nq = torch.sort(w)\nreturn F.softplus(-z)"
    documents = [
        compile_source(check_source(pairwise(body), Family.PAIRWISE)) for body in (dead, "return F.softplus(-z)")
    ]
    assert documents[0] == documents[1]


@pytest.mark.parametrize(
    "body",
    ["for _ in range(n):\n    z = z * 1.5\nreturn F.softplus(-z)", "return F.softplus(-z.roll(n))",
     "return F.softplus(-z) + z.topk(n).values.sum()", "return F.softplus(-z) + z[:n].mean() * beta",
     "if n > 1:\n    z = z * 2\nreturn F.softplus(-z)", "return F.softplus(-torch.stack([z, z, 2 * z])[n])",
     "return F.softplus(-z) + torch.zeros(n).sum() + annotator // n"],
)  # fmt: skip
def test_an_integer_is_fixed_where_the_code_needs_one(body: str) -> None:
    text = pairwise(body, "annotator, beta, n=2, other=3")
    checked = check_source(text, Family.PAIRWISE)
    kinds = {each["name"]: each["structural"] for each in compile_source(checked)["hyperparameters"]}
    assert kinds["n"] is True
    assert_equals_eager(text)


def test_only_the_integer_that_is_needed_is_fixed() -> None:
    text = pairwise("for _ in range(n):\n    z = z * k\nreturn F.softplus(-z)", "beta, n=2, k=3")
    document = compile_source(check_source(text, Family.PAIRWISE))
    assert [each["structural"] for each in document["hyperparameters"]] == [True, False]
    assert_equals_eager(text, sweep=({}, {"k": 0.5}))


# --- what is kept exactly


def test_no_grad_and_detach_are_kept() -> None:
    block = compile_source(check_source(ACCEPTED["no_grad_block"], Family.PAIRWISE))
    assert [node["op"] for node in block["nodes"] if node.get("ng")] == ["aten.neg.default", "aten.sigmoid.default"]
    detached = compile_source(check_source(ACCEPTED["detach"], Family.PAIRWISE))
    assert "aten.detach.default" in [node["op"] for node in detached["nodes"]]


def test_python_constants_are_folded() -> None:
    text = pairwise("k = math.log(2.0) * 3 + sum(range(4))\nreturn F.softplus(-z) * k")
    document = compile_source(check_source(text, Family.PAIRWISE))
    assert document["nodes"][-1]["a"][1] == math.log(2.0) * 3 + 6


def test_the_words_of_the_language_all_mean_something() -> None:
    tables = (names.TORCH, names.FUNCTIONAL, names.METHODS, names.MATH)
    words = (
        vocabulary.TORCH_FUNCTIONS,
        vocabulary.FUNCTIONAL,
        vocabulary.METHODS - {"append"},
        vocabulary.MATH_FUNCTIONS,
    )
    assert [set(table) for table in tables] == [set(each) for each in words]


def test_two_names_of_one_function_give_one_graph() -> None:
    pairs = [("torch.clip(z, -1, 1)", "torch.clamp(z, -1, 1)"), ("z.absolute()", "z.abs()"), ("z.multiply(2)", "2 * z")]
    for one, other in pairs:
        documents = [compile_source(check_source(pairwise(f"return {each}"), Family.PAIRWISE)) for each in (one, other)]
        assert [node["op"] for node in documents[0]["nodes"]] == [node["op"] for node in documents[1]["nodes"]]


def test_equal_constants_are_one() -> None:
    text = pairwise("for _ in range(20):\n    z = z * torch.tensor([0.5, 0.25])[0]\nreturn F.softplus(-z)")
    assert len(compile_source(check_source(text, Family.PAIRWISE))["constants"]) == 1


# --- without the static check in front of it

ATTACKS = [json.loads(line) for line in (Path(__file__).parents[2] / "data" / "attacks.jsonl").read_text().splitlines()]
HARMLESS = {"num_const_shape", "num_detach", "num_half", "num_late_overflow", "num_other_device", "num_wrong_shape"}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack["name"])
def test_the_interpreter_alone_lets_no_attack_out_of_its_world(attack: dict[str, str]) -> None:
    policy = ("policy_chosen_logps", "policy_rejected_logps", "reference_chosen_logps", "reference_rejected_logps")
    source = CheckedSource(Family.PAIRWISE, attack["source"], "loss", (*policy, "beta"), ())
    if attack["name"] in HARMLESS:  # a result of a wrong shape, type or value, which others see
        compile_source(source)
    else:
        with pytest.raises((Refused, SyntaxError, MemoryError)):  # the last two by Python's parser
            compile_source(source)


# --- the job


def test_the_job_answers_with_graph_and_plain_source() -> None:
    answer = compile_request({"source": ACCEPTED["detach"], "family": "pairwise"})
    assert set(answer) == {"graph", "checked"}
    assert answer["checked"]["entry"] == "loss"
    load(answer["checked"]["text"], "loss")
    json.dumps(answer, allow_nan=False)


def test_a_line_is_that_of_the_text_as_it_was_written() -> None:
    body = pairwise("# Another.\n\nassert z.dim() == 1\nk = self.tau * z.mean()\nreturn z * math.exp(k)")
    text = "# A comment.\n\n" + body.replace("loss(", "loss(self, ")
    with pytest.raises(Refused) as caught:
        compile_request({"source": text, "family": "pairwise", "values": {"tau": 0.5}})
    assert caught.value.refusals[0].line == text.splitlines().index("    return z * math.exp(k)") + 1


@pytest.mark.parametrize(
    "taken", ["t[annotator]", "t[who]", "torch.gather(t, 0, annotator)", "t.index_select(0, annotator)"]
)
def test_an_index_that_is_minus_one_where_nobody_knows_is_refused_with_what_to_write(taken: str) -> None:
    body = f"t = torch.tensor([0.5, 1.0, 2.0, 1.5])\nwho = annotator\nreturn {taken} * F.softplus(-beta * z)"
    text = pairwise(body, "annotator, beta")
    with pytest.raises(Refused) as caught:
        compile_text(text)
    (refusal,) = caught.value.refusals
    assert "annotator.clamp(min=0)" in refusal.message
    assert refusal.line == 5
    for index in ("annotator.clamp(min=0)", "torch.where(annotator < 0, 3, annotator)"):
        assert_equals_eager(text.replace("[annotator]", f"[{index}]").replace("[who]", f"[{index}]")
                            .replace("0, annotator)", f"0, {index})"))  # fmt: skip
