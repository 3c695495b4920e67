"""The whole road, in a real jail: what is accepted, what is refused and in which words, and what is stored of it."""

import dataclasses
from base64 import b64decode
from typing import Any

import pytest

from discovery_service.domain.families import Family
from discovery_service.domain.isolation import Level
from discovery_service.losses.described import list_described
from discovery_service.losses.known import list_known
from discovery_service.losses.refusals import RefusalCode
from tests.gate.conftest import Judge, read_lines
from tests.losses.test_discopop import METHODS, STATEFUL
from workers.gate.library import describe_family
from workers.gate.road import Submission, pass_gate
from workers.gate.twins import Archive, read_fingerprint
from workers.supervisor.jail import Jail, Outcome

HEAD = "def loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta"
MARGIN = "(policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)"
DPO = f"{HEAD}):\n    return -F.logsigmoid(beta * ({MARGIN}))\n"


def one_code(judge: Judge, source: str) -> RefusalCode:
    verdict = judge(source)
    assert not verdict.is_accepted
    return verdict.refusals[0].code


@pytest.mark.parametrize("attack", read_lines("attacks.jsonl"), ids=lambda attack: attack["name"])
def test_an_attack_is_refused_with_a_sentence(judge: Judge, attack: dict[str, Any]) -> None:
    verdict = judge(attack["source"])
    assert not verdict.is_accepted
    assert verdict.refusals[0].code is not RefusalCode.JAIL_CRASH
    assert all(0 < len(each.message) < 400 and "\n" not in each.message for each in verdict.refusals)


def test_an_accepted_loss_is_stored_whole(judge: Judge) -> None:
    passed = judge(DPO).passed
    assert passed is not None
    assert passed.formula == "-log σ(β·((πc − πr) − (ρc − ρr)))"  # noqa: RUF001
    assert "logsigmoid" in passed.graph_text
    assert passed.graph.torch_version.startswith("2.13")
    assert set(passed.check_vectors) == {"values", "gradients"}
    assert passed.passport
    assert passed.neighbours[0].name == "dpo"
    assert passed.neighbours[0].is_twin


def test_what_is_stored_of_the_library_is_what_the_gate_says_today(jail: Jail) -> None:
    """`python -m workers.gate.library` writes it."""
    for family in Family:
        stored = list_described(family)
        assert list(stored) == sorted(known.name for known in list_known(family))
        if not stored:
            continue
        for name, today in describe_family(jail, family)["losses"].items():
            known = stored[name]
            assert (known.graph_sha256, known.graph, known.formula) == tuple(
                today[part] for part in ("graph_sha256", "graph", "formula")
            )
            assert known.passport == approximately(today["passport"])
            assert known.curve == approximately(today["curve"])
            assert [dict(near) for near in known.neighbours] == approximately(today["neighbours"])
            theirs, ours = (read_fingerprint(raw) for raw in (known.fingerprint, b64decode(today["fingerprint"])))
            assert (theirs * ours).sum(axis=-1).min() >= 0.9999


def approximately(value: Any) -> Any:
    """The same but for what another processor rounds otherwise."""
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-3, abs=1e-5)
    if isinstance(value, dict):
        return {name: approximately(each) for name, each in value.items()}
    return [approximately(each) for each in value] if isinstance(value, list) else value


SAME = [
    DPO.replace("loss(", "another(") + "# a comment\n",
    f'{HEAD}):\n    """Words."""\n    unused = policy_chosen_logps.exp()\n'
    f"    margin = {MARGIN}\n    return -F.logsigmoid(margin * beta)\n",
    f"def helper(x):\n    return -F.logsigmoid(x)\n\n{HEAD}):\n    return helper(({MARGIN}) * beta)\n",
]


@pytest.mark.parametrize("source", SAME)
def test_names_comments_order_and_dead_code_do_not_change_the_graphs_hash(judge: Judge, source: str) -> None:
    one, other = judge(DPO).passed, judge(source).passed
    assert one is not None
    assert other is not None
    assert one.graph_sha256 == other.graph_sha256


@pytest.mark.parametrize(
    "change", [(", beta", ", beta, tau=2.0", "beta *", "beta * tau *"), ("beta *", "2.5 * beta *")]
)
def test_a_changed_constant_changes_the_graphs_hash(judge: Judge, change: tuple[str, ...]) -> None:
    source = DPO
    for old, new in zip(change[::2], change[1::2], strict=True):
        source = source.replace(old, new)
    other, third = judge(source).passed, judge(source.replace("2.0", "3.0").replace("2.5", "3.5")).passed
    original = judge(DPO).passed
    assert original is not None
    assert other is not None
    assert third is not None
    assert len({original.graph_sha256, other.graph_sha256, third.graph_sha256}) == 3


def test_a_machines_twin_is_refused_and_a_persons_is_named(judge: Judge) -> None:
    scaled = DPO.replace("beta *", "0.9 * beta *")
    assert judge(scaled).is_accepted
    refused = judge(scaled, may_be_twin=False)
    assert [each.code for each in refused.refusals] == [RefusalCode.DUPLICATE]
    assert "dpo" in refused.refusals[0].message
    assert refused.passed is not None


def test_what_the_reply_gives_a_number_for_is_a_hyper_parameter(judge: Judge) -> None:
    source = f"def loss(self, {HEAD.partition('(')[2]}):\n    return -F.logsigmoid(beta * ({MARGIN}) - self.gamma)\n"
    assert one_code(judge, source) is RefusalCode.MISSING_VALUE
    passed = judge(source, values={"gamma": 0.5}).passed
    assert passed is not None
    assert [(each.name, each.value) for each in passed.checked.hyperparameters] == [("gamma", 0.5)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (f"return F.logsigmoid(beta * ({MARGIN}))", RefusalCode.REVERSED),
        (f"return (-F.logsigmoid(beta * ({MARGIN}))).mean()", RefusalCode.SCALAR_RESULT),
        ("return (policy_chosen_logps * 0.0).detach()", RefusalCode.NOT_DIFFERENTIABLE),
        ("return policy_chosen_logps * 0.0", RefusalCode.ZERO_GRADIENT),
        (f"return torch.log({MARGIN})", RefusalCode.NON_FINITE),
        ("return torch.ones(200000, 100000).sum() + policy_chosen_logps", RefusalCode.TOO_MUCH_MEMORY),
    ],
)
def test_a_loss_that_nobody_can_train_with_is_refused(judge: Judge, body: str, code: RefusalCode) -> None:
    assert one_code(judge, f"{HEAD}):\n    {body}\n") is code


def test_a_loss_that_keeps_state_between_calls_is_refused_as_stateful(judge: Judge) -> None:
    """BCO's pair form: the running mean of rewards, as TRL keeps it."""
    bco = f"""
running = 0.0

{HEAD}):
    global running
    chosen = beta * (policy_chosen_logps - reference_chosen_logps)
    rejected = beta * (policy_rejected_logps - reference_rejected_logps)
    running = 0.9 * running + 0.1 * torch.cat((chosen, rejected)).mean().detach()
    return -F.logsigmoid(chosen - running) - F.logsigmoid(-(rejected - running))
"""
    assert one_code(judge, bco) is RefusalCode.STATE


@pytest.mark.parametrize("name", METHODS)
def test_each_of_discopops_published_losses_passes_as_it_was_published(judge: Judge, name: str) -> None:
    """All 17 but BCO's pair form, which keeps a running mean."""
    verdict = judge(METHODS[name], name=name, values={"label_smoothing": 0.1})
    refused_for = [RefusalCode.STATE] if name == STATEFUL else []
    assert [each.code for each in verdict.refusals][:1] == refused_for
    assert (verdict.passed is None) == (name == STATEFUL)


def test_below_the_level_full_nothing_of_the_candidate_is_executed(jail: Jail) -> None:
    jobs: list[str] = []

    class Watched:
        isolation = dataclasses.replace(jail.isolation, level=Level.SECCOMP)

        def run(self, job: str, request: dict[str, Any]) -> Outcome:
            jobs.append(job)
            return jail.run(job, request)

    assert pass_gate(Watched(), Submission(DPO, Family.PAIRWISE), Archive(())).is_accepted  # type: ignore[arg-type]
    assert jobs == ["compile", "examine"]


@pytest.mark.parametrize("part", ["constant", "branch"])
def test_a_graph_that_is_not_the_sources_is_refused(jail: Jail, part: str) -> None:
    """As if the compiler had been wrong: another loss's graph in the place of the one compiled."""
    other = {
        "constant": DPO.replace("beta *", "1.0001 * beta *"),
        "branch": DPO.replace("-F.logsigmoid(", "F.relu(1 - "),
    }[part]

    class Mistaken:
        isolation = jail.isolation

        def run(self, job: str, request: dict[str, Any]) -> Outcome:
            return jail.run(job, request if job != "compile" else {**request, "source": other})

    verdict = pass_gate(Mistaken(), Submission(DPO, Family.PAIRWISE), Archive(()))  # type: ignore[arg-type]
    assert [each.code for each in verdict.refusals] == [RefusalCode.SEMANTICS_DIFFER]


@pytest.mark.parametrize("answer", [{}, {"graph": 7}, {"graph": {"v": 1}}, {"graph": None, "refused": "x"}])
def test_a_compiling_child_that_answers_nonsense_is_refused(jail: Jail, answer: dict[str, Any]) -> None:
    class Forged:
        isolation = jail.isolation

        def run(self, job: str, request: dict[str, Any]) -> Outcome:
            return dataclasses.replace(jail.run(job, request), answer=answer)

    verdict = pass_gate(Forged(), Submission(DPO, Family.PAIRWISE), Archive(()))  # type: ignore[arg-type]
    assert [each.code for each in verdict.refusals] == [RefusalCode.BAD_GRAPH]


@pytest.mark.parametrize("forged", [{}, {"fingerprint": "AAAA"}, {"fingerprint": 7}, {"passport": []}, {"curve": 1}])
def test_an_examining_child_that_answers_nonsense_is_refused(jail: Jail, forged: dict[str, Any]) -> None:
    class Forged:
        isolation = jail.isolation

        def run(self, job: str, request: dict[str, Any]) -> Outcome:
            outcome = jail.run(job, request)
            if job != "examine":
                return outcome
            return dataclasses.replace(outcome, answer={**(outcome.answer or {}), **forged} if forged else {})

    verdict = pass_gate(Forged(), Submission(DPO, Family.PAIRWISE), Archive([]))  # type: ignore[arg-type]
    assert verdict.refusals[0].code in (RefusalCode.JAIL_CRASH, RefusalCode.SEMANTICS_DIFFER)
