"""What the symbolic proposer answers with: losses that pass the gate, are new, and follow from the slot alone."""

import ast
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from discovery_service.domain.archive import Archive, Member, Place
from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.domain.requests import Kind, Request
from discovery_service.losses.canonical import hash_graph
from discovery_service.losses.graph import Graph, read_graph
from discovery_service.losses.size import measure_graph
from tests.workers.symbolic.archives import archive_of_library, compile_text, propose_from
from workers.jail.batches import make_batch
from workers.runtime.graph import Program
from workers.symbolic import propose as proposing
from workers.symbolic.propose import NothingNew, Proposed, propose

COUNT = 32
LARGEST = 64


@pytest.fixture(scope="module", params=list(Family))
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


@pytest.fixture(scope="module")
def proposed(family: Family) -> list[Proposed]:
    archive = archive_of_library(family)
    return [propose_from(archive, family, 1 + place // 4, place % 4) for place in range(COUNT)]


@pytest.fixture(scope="module")
def compiled(family: Family, proposed: list[Proposed]) -> list[Graph]:
    return [compile_text(each.source, family) for each in proposed]


def test_what_is_proposed_compiles_to_something_new(family: Family, compiled: list[Graph]) -> None:
    known = {hash_graph(read_graph(each.graph)) for each in archive_of_library(family).members}
    found = [hash_graph(each) for each in compiled]
    assert not known & set(found)
    assert len(set(found)) >= 0.9 * COUNT, "slots that see the same archive draw different losses"


def test_it_stays_small(family: Family, compiled: list[Graph]) -> None:
    sizes = sorted(measure_graph(each).nodes for each in compiled)
    assert sizes[-1] <= LARGEST
    # In a family whose known losses are large, proposals begin there.
    known = [measure_graph(read_graph(each.graph)).nodes for each in archive_of_library(family).members]
    assert sizes[COUNT // 2] <= max(LARGEST / 3, *known)


def test_it_says_what_was_done_and_has_a_name_of_its_own(proposed: list[Proposed]) -> None:
    for each in proposed:
        [function] = ast.parse(each.source).body
        assert isinstance(function, ast.FunctionDef)
        assert function.name == each.name
        assert " ".join((ast.get_docstring(function) or "").split()) == each.thought
        assert each.thought.startswith("From ")
    assert len({each.name for each in proposed}) == COUNT


def test_nearly_all_can_be_trained(family: Family, compiled: list[Graph]) -> None:
    """Finite, and with a gradient: what the gate asks for before anything is measured."""
    fit = 0
    batch = make_batch(family, 33, seed=3, nats=5.0) | {
        "beta": torch.tensor(0.5, dtype=torch.float64),
        "progress": torch.tensor(0.5, dtype=torch.float64),
    }
    policy = {name: value.requires_grad_() for name, value in batch.items() if "policy" in name}
    for graph in compiled:
        value = Program(graph)({name: (batch | policy)[name] for name in graph.inputs})
        used = [policy[name] for name in graph.inputs if name in policy]
        gradients = torch.autograd.grad(value.sum(), used, allow_unused=True)
        given = [each for each in gradients if each is not None]
        fit += (
            bool(value.isfinite().all()) and all(one.isfinite().all() for one in given) and any(map(torch.any, given))
        )
    assert fit >= 0.9 * COUNT


def test_the_same_slot_gets_the_same_loss_whatever_the_order_of_rows(family: Family, proposed: list[Proposed]) -> None:
    archive = archive_of_library(family)
    turned = replace(archive, members=archive.members[::-1])
    again = [propose_from(turned, family, 1 + place // 4, place % 4) for place in range(4)]
    assert again == proposed[:4]


def test_another_seed_gives_another_loss(family: Family, proposed: list[Proposed]) -> None:
    other = propose_from(archive_of_library(family), family, 1, 0, seed=8)
    assert other.source != proposed[0].source


def test_what_the_archive_holds_is_not_proposed_again(family: Family, compiled: list[Graph]) -> None:
    archive = archive_of_library(family)
    graphs = [each.document() for each in compiled[:4]]
    added = tuple(
        Member(Place(9, slot), f"found_{slot}", Author.SYMBOLIC, "", graph, {}) for slot, graph in enumerate(graphs)
    )
    grown = Archive((0, 9), (*archive.members, *added))
    known = {hash_graph(read_graph(each)) for each in graphs}
    for slot in range(4):
        # Drawn as before, but from an archive in which the first draw is taken.
        fresh = propose(Request(Kind.FRESH), grown, family, seed=7, round_index=1, slot=slot)
        assert hash_graph(compile_text(fresh.source, family)) not in known


def test_where_nothing_new_comes_of_it_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archive_of_library(Family.PAIRWISE)
    unchanged = proposing._go_on_from([archive.members[0]], Family.PAIRWISE, 0)
    monkeypatch.setattr(proposing, "_begin", lambda *_: unchanged)
    with pytest.raises(NothingNew, match="another proposer"):
        propose(Request(Kind.FRESH), archive, Family.PAIRWISE, seed=0, round_index=1, slot=0)


def test_a_line_of_descent_keeps_a_short_name_that_begins_with_its_origin() -> None:
    archive = archive_of_library(Family.PAIRWISE)
    parent = archive.members[0]
    for round_index in range(1, 9):
        request = Request(Kind.IMPROVE, (parent.place,))
        found = propose(request, archive, Family.PAIRWISE, seed=1, round_index=round_index, slot=0)
        graph = compile_text(found.source, Family.PAIRWISE).document()
        parent = Member(Place(round_index, 0), found.name, Author.SYMBOLIC, found.source, graph, {})
        archive = Archive((*archive.rounds, round_index), (*archive.members, parent))
        assert found.name.startswith("dpo_")
        assert found.name.endswith(f"_{round_index}_0")
        assert len(found.name) <= 64


def test_a_name_that_a_model_chose_is_made_fit() -> None:
    dpo = archive_of_library(Family.PAIRWISE).members[0]
    odd = replace(dpo, name='3 "Quoted" \N{GREEK SMALL LETTER BETA}-loss', author=Author.LLM)
    archive = Archive((0,), (odd,))
    request = Request(Kind.IMPROVE, (odd.place,))
    found = propose(request, archive, Family.PAIRWISE, seed=0, round_index=1, slot=0)
    assert found.name.isidentifier()
    assert found.source.isascii()


def test_what_arenas_are_made_of_is_within_a_few_rounds_of_dpo() -> None:
    """An offset on the difference of lengths, and an annotator's weight: nobody wrote them into the operators."""
    archive = Archive((0,), archive_of_library(Family.PAIRWISE).members[:1])
    request = Request(Kind.IMPROVE, (archive.members[0].place,))
    for seed in range(3):
        told = [
            propose(request, archive, Family.PAIRWISE, seed=seed, round_index=1, slot=slot).thought
            for slot in range(40)
        ]
        assert any("* (chosen_lengths - rejected_lengths) to the logit" in each for each in told)
        assert any("annotator" in each for each in told)


def test_it_needs_no_torch() -> None:
    command = "import sys, workers.symbolic.propose; sys.exit('torch' in sys.modules or 'openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False, timeout=60).returncode == 0
