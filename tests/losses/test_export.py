"""The file of a loss computes what was stored, says when it does not, and needs nothing but torch."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting
from discovery_service.losses.canonical import canonicalise, hash_graph
from discovery_service.losses.export import CASES, write_module
from discovery_service.losses.exported import Evaluated, Facts, Met, Tuned
from discovery_service.losses.formula import find_formula
from discovery_service.losses.graph import read_graph
from discovery_service.losses.known import list_known
from discovery_service.losses.printer import print_graph
from discovery_service.losses.source import check_source
from tests.jail.compiler.sources import ACCEPTED, OTHER_FAMILIES
from tests.losses.graphs import GOOD
from workers.jail import cases
from workers.jail.compiler import compile_source
from workers.jail.examine_graph import examine_request

ROW = "policy_chosen_logps, policy_rejected_logps"
HELPED = f"""
NAME = 0.7

def Tensor(margin, *, strength=2.0):
    return F.softplus(-strength * margin) ** math.sqrt(NAME)

def _draw_batch({ROW}, beta, *, tau=0.05, steps=3):
    \"\"\"Ends in a backslash \\\\.\"\"\"
    value = Tensor(policy_chosen_logps - policy_rejected_logps, strength=beta)
    for _ in range(steps):
        value = value + tau
    return value
"""
METHOD = f"""
def loss(self, {ROW}):
    return -F.logsigmoid(self.beta * (policy_chosen_logps - policy_rejected_logps) - self.gap)
"""


CANCELS = {"transposed"}
"""Most of it is zero but for rounding, which another order of sums changes."""


def facts_of(source: str, family: Family = Family.PAIRWISE, **others: object) -> Facts:
    """As the gate would store them."""
    values = others.pop("values", None)
    checked = check_source(source, family, values=values)  # type: ignore[arg-type]
    graph = read_graph(compile_source(checked))
    examined = examine_request({"graph": canonicalise(graph).document()})
    facts = Facts(
        name=checked.entry,
        family=family,
        source=checked.text,
        graph_sha256=hash_graph(graph),
        torch_version=graph.torch_version,
        formula=find_formula(graph),
        passport=examined["passport"],
        check_vectors={part: examined[part] for part in ("values", "gradients")},
        author=Author.SYMBOLIC,
        model=None,
        campaign="a search",
    )
    return replace(facts, **others)  # type: ignore[arg-type]


def check(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Where nothing of the package can be imported."""
    file = folder / "discovered_loss.py"
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-I", "-c", RUN, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


RUN = """
import runpy, sys
failed = []
for name in ("discovery_service", "workers"):
    sys.modules[name] = None
for file in sys.argv[1:]:
    sys.argv = [file, "--check"]
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as end:
        if end.code:
            failed.append(f"{file}: {end.code}")
if failed:
    sys.exit("; ".join(failed))
"""


def check_all(texts: dict[str, str], folder: Path) -> None:
    """In one process, because torch takes its time to come."""
    files = []
    for number, text in enumerate(texts.values()):
        files.append(folder / f"loss_{number}.py")
        files[-1].write_text(text, encoding="utf-8")
    command = [sys.executable, "-I", "-c", RUN, *map(str, files)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert (ran.returncode, ran.stderr.replace(str(folder), "")) == (0, "")
    assert ran.stdout.count("are the stored ones in 16 batches") == len(texts)


def test_the_cases_are_those_of_the_gate() -> None:
    assert [(each.rows, each.beta, each.progress) for each in cases.CASES] == list(CASES)
    assert [each.seed for each in cases.CASES] == list(range(len(CASES)))


def test_every_known_loss_computes_what_was_stored(tmp_path: Path) -> None:
    known = {each.name: (each.text, each.family) for family in Family for each in list_known(family)}
    check_all({name: write_module(facts_of(*each)) for name, each in known.items()}, tmp_path)


def test_losses_of_every_form_and_family_do(tmp_path: Path) -> None:
    texts = {title: write_module(facts_of(text)) for title, text in ACCEPTED.items() if title not in CANCELS}
    texts |= {title: write_module(facts_of(text, family)) for title, (family, text) in OTHER_FAMILIES.items()}
    texts["helpers"] = write_module(facts_of(HELPED))
    texts["a method"] = write_module(facts_of(METHOD, values={"gap": 0.3}))
    check_all(texts, tmp_path)


def test_printed_graphs_do(tmp_path: Path) -> None:
    graphs = {name: read_graph(document) for name, document in GOOD.items()}
    check_all(
        {name: write_module(facts_of(print_graph(graph), graph.family)) for name, graph in graphs.items()}, tmp_path
    )


@pytest.mark.parametrize(
    ("old", "new"), [("tau: float = 0.05", "tau: float = 0.051"), ("NAME_of_loss = 0.7", "NAME_of_loss = 0.701")]
)
def test_a_changed_constant_is_found(old: str, new: str, tmp_path: Path) -> None:
    text = write_module(facts_of(HELPED))
    assert text.count(old) == 1
    ran = check(text.replace(old, new), tmp_path)
    assert ran.returncode != 0
    assert "is not the stored one" in ran.stderr


def test_a_changed_gradient_is_found(tmp_path: Path) -> None:
    text = write_module(facts_of(METHOD, values={"gap": 0.3}))
    changed = text.replace("return -F.logsigmoid", "return -F.logsigmoid", 1).replace(
        "policy_chosen_logps - policy_rejected_logps", "policy_chosen_logps - policy_rejected_logps.detach()"
    )
    assert changed != text
    assert "the gradient by policy_rejected_logps" in check(changed, tmp_path).stderr


def test_names_of_the_source_give_way_to_those_of_the_file() -> None:
    tree = ast.parse(write_module(facts_of(HELPED)))
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    assert {"Tensor_of_loss", "_draw_batch_of_loss", "_draw_batch"} <= functions.keys()
    entry = functions["_draw_batch_of_loss"]
    assert ast.unparse(entry.args).endswith("*, tau: float=0.05, steps: int=3")
    assert ast.unparse(entry.returns or ast.Pass()) == "Tensor"


def test_the_same_facts_give_the_same_bytes() -> None:
    facts = facts_of(HELPED)
    assert write_module(facts) == write_module(
        replace(facts, check_vectors=dict(reversed(facts.check_vectors.items())))
    )


def test_what_others_wrote_cannot_leave_its_place(tmp_path: Path) -> None:
    hostile = '"""\nimport os\n\\'
    facts = facts_of(HELPED, name=hostile, campaign=hostile, model=hostile, author=Author.LLM, formula=hostile)
    text = write_module(facts)
    tree = ast.parse(text)
    assert [each for each in tree.body if isinstance(each, ast.Import) and each.names[0].name == "os"] == []
    shown = "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in hostile)
    assert "NAME = " + repr(shown) in [ast.unparse(each) for each in tree.body]
    assert check(text, tmp_path).returncode == 0


def test_a_name_is_shown_as_it_is_and_steers_no_terminal(tmp_path: Path) -> None:
    fire = "\N{FIRE} loss"
    assert fire in check(write_module(facts_of(HELPED, name=fire)), tmp_path).stdout
    assert "\x1b" not in check(write_module(facts_of(HELPED, name="a\x1b]0;owned\x07")), tmp_path).stdout


def test_a_parameter_of_a_lambda_may_be_called_as_what_the_file_has(tmp_path: Path) -> None:
    source = f"""
NAME = 0.7

def loss({ROW}, beta):
    square = lambda NAME: NAME * NAME
    return square(beta * (policy_chosen_logps - policy_rejected_logps)) * NAME
"""
    assert check(write_module(facts_of(source)), tmp_path).returncode == 0


SETTING = Setting(1.0, 1.5e-3, 120)
CONFIRMED = Evaluated(
    arena="panel:mini",
    is_search_arena=True,
    is_confirmation=True,
    setting=SETTING,
    draws=12,
    base_policies=(0, 1, 2),
    met=(Met("dpo", Interval(0.41, 0.22, 0.6, 12), 0.975, "better than"),),
    means={"reward": Interval(1.9, 1.8, 2.0, 12)},
)
SCREENED = replace(CONFIRMED, is_confirmation=False, draws=3, met=(Met("dpo", Interval(0.5, 0.1, 0.9, 3)),))


def said(facts: Facts) -> str:
    return " ".join((ast.get_docstring(ast.parse(write_module(facts))) or "").split())


def test_it_says_where_it_was_measured_against_what_and_who_proposed_it() -> None:
    facts = facts_of(HELPED, evaluated=(CONFIRMED,), is_confirmed=True, author=Author.RECORDED, model="m-1")
    told = said(replace(facts, known_as=("length_dpo",)))
    assert "panel:mini (where it was searched), confirmed on fresh draws: 12 draws over 3 base policies" in told
    assert "Better than dpo: less dpo's +0.410 [+0.220, +0.600] (97.5 %)." in told
    assert "reward 1.900 [1.800, 2.000]" in told
    assert "recorded earlier and played again" in told
    assert "Known as length_dpo (Park" in told
    assert "In no arena but the one in which it was searched." in told
    assert "UNCONFIRMED" not in told


def test_an_unconfirmed_one_says_so_first_and_when_it_is_checked(tmp_path: Path) -> None:
    facts = facts_of(HELPED, evaluated=(SCREENED,))
    told = said(facts)
    assert told.index("UNCONFIRMED") < 120
    assert "Screened less dpo's +0.500 [+0.100, +0.900] (95 %)." in told
    checked = check(write_module(facts), tmp_path).stdout
    assert "in 16 batches. UNCONFIRMED: no confirmation on fresh draws has shown" in checked


UNFINISHED = replace(CONFIRMED, draws=4, met=(), means={})


def test_draws_of_a_confirmation_without_a_verdict_confirm_nothing() -> None:
    told = said(facts_of(HELPED, evaluated=(UNFINISHED, SCREENED)))
    assert told.index("What a search shows of its best is more luck than merit") < 300
    assert "trained on fresh draws, without a verdict: 4 draws" in told
    assert "confirmed on fresh draws" not in told
    assert "Not confirmed: its numbers are those by which it was chosen." in told
    reference = said(facts_of(HELPED, evaluated=(UNFINISHED, SCREENED), author=Author.LIBRARY))
    assert "luck" not in reference
    assert "by which it was chosen" not in reference


def test_an_interval_above_zero_that_is_no_find_says_why() -> None:
    met = replace(SAME, difference=Interval(0.3, 0.1, 0.5, 12), not_better_under=(2,))
    told = said(facts_of(HELPED, evaluated=(replace(CONFIRMED, met=(met,)),)))
    why = "+0.300 [+0.100, +0.500] (97.5 %), but not better under base policy 2."
    assert f"Not distinguishable from dpo: less dpo's {why}" in told
    assert told.index("NOT DISTINGUISHABLE") < told.index("but not better under base policy 2")


def test_it_says_which_metric_counts_and_what_that_came_to() -> None:
    means = {"accuracy": Interval(0.7, 0.6, 0.8, 12)}
    told = said(facts_of(HELPED, evaluated=(replace(CONFIRMED, counts="accuracy", means=means),)))
    assert "; accuracy counts there. Better than dpo" in told
    assert "Its own means: accuracy 0.700 [0.600, 0.800]." in told


WORSE = Met("dpo", Interval(-0.41, -0.6, -0.22, 12), 0.975, "worse than")
SAME = Met("dpo", Interval(0.01, -0.1, 0.12, 12), 0.975, "not distinguishable from")


@pytest.mark.parametrize(
    ("met", "shown"),
    [
        (WORSE, "CONFIRMED WORSE than dpo by 0.410 [0.220, 0.600] (97.5 %), on fresh draws in panel:mini."),
        (SAME, "NOT DISTINGUISHABLE from dpo: less dpo's +0.010 [-0.100, +0.120] (97.5 %), on fresh draws"),
    ],
)
def test_a_finalist_that_is_no_discovery_says_what_was_shown_and_not_that_nothing_was(
    met: Met, shown: str, tmp_path: Path
) -> None:
    facts = facts_of(HELPED, evaluated=(replace(CONFIRMED, met=(met,)), SCREENED))
    told, checked = said(facts), check(write_module(facts), tmp_path).stdout
    assert told.index(shown) < 120
    assert f"in 16 batches. {shown}" in checked
    assert "UNCONFIRMED" not in told + checked


def test_a_discovery_that_is_no_better_than_the_best_known_loss_says_so_first() -> None:
    beside = replace(SAME, against="simpo")
    places = (replace(CONFIRMED, met=(*CONFIRMED.met, beside)),)
    told = said(facts_of(HELPED, evaluated=places, is_confirmed=True))
    assert told.index("not shown to be better than the best known loss of its campaign's screen. Not dist") < 120
    assert "Not distinguishable from simpo: less simpo's +0.010 [-0.100, +0.120] (97.5 %). These intervals" in told


def test_an_earlier_confirmation_is_told_as_the_chance_that_it_was() -> None:
    told = said(facts_of(HELPED, evaluated=(replace(CONFIRMED, before=(SAME,)),), is_confirmed=True, looked_at=11))
    assert "so that it had 2 chances: Not distinguishable from dpo: less dpo's +0.010 [-0.100, +0.120]" in told
    assert "in which 11 candidates were looked at" in told
    assert "chance" not in said(facts_of(HELPED, evaluated=(CONFIRMED,), is_confirmed=True))


def test_a_loss_that_listens_to_annotators_says_that_yours_are_others() -> None:
    known = {each.name: each.text for each in list_known(Family.PAIRWISE)}
    listening = f"def loss({ROW}, annotator, beta):\n    rho = policy_chosen_logps - policy_rejected_logps\n"
    listening += "    return -F.logsigmoid(beta * rho) * (annotator == 0)\n"
    assert "mean nobody of yours" in said(facts_of(listening))
    assert "What it needs of your rows: - Answers of differing length" in said(facts_of(known["length_dpo"]))
    assert "What it needs" not in said(facts_of(known["dpo"]))


def test_a_loss_that_was_stopped_in_its_tuning_says_how_far_it_came() -> None:
    told = said(facts_of(HELPED, tuned=Tuned("panel:mini", 7, 1, is_stopped=True)))
    assert told.index("UNCONFIRMED: the halving of its round stopped this loss in its tuning, compared with") < 120
    assert "panel:mini (where it was searched), tuned only: 7 trainings on 1 tune draw. The halving" in told
    assert "nothing was measured" not in told
    assert "by which it was chosen" not in told


def test_weaknesses_are_those_of_the_passport() -> None:
    lrml = next(each for each in list_known(Family.PAIRWISE) if each.name == "lrml")
    assert "training first lowers the margin" in said(facts_of(lrml.text))
    assert "The probes found nothing odd." in said(facts_of(next(iter(list_known(Family.PAIRWISE))).text))
