"""Each move on each loss: what comes out is a graph of the family, and the source printed of it says the same."""

from collections.abc import Callable
from random import Random

import pytest

from discovery_service.domain.families import Family
from discovery_service.losses.canonical import hash_graph
from discovery_service.losses.described import list_described
from discovery_service.losses.graph import read_graph
from discovery_service.losses.printer import print_graph
from tests.jail.compiler.sources import OTHER_FAMILIES
from tests.workers.symbolic.archives import compile_text, draft_of
from workers.symbolic.combining import blend_both, join, take_logit, take_offset, take_weight
from workers.symbolic.expression import read_tree, write_graph
from workers.symbolic.part_moves import change_link, change_number, leave_out, relate_to_length
from workers.symbolic.propose import MOVES
from workers.symbolic.sites import Draft
from workers.symbolic.starting import start_fresh

LIBRARY = list_described(Family.PAIRWISE)
DPO = "-F.logsigmoid(z)"


def library_draft(name: str) -> Draft:
    return Draft(Family.PAIRWISE, read_tree(read_graph(LIBRARY[name].graph)))


def hash_draft(draft: Draft) -> str:
    return hash_graph(write_graph(draft.root, draft.family))


def hash_result(result: str, *more: str) -> str:
    return hash_draft(draft_of(result, *more))


def draw_all(move: Callable[[Draft, Random], Draft | None], draft: Draft, seeds: int = 60) -> set[str]:
    return {hash_draft(moved) for seed in range(seeds) if (moved := move(draft, Random(seed))) is not None}


@pytest.mark.parametrize("name", LIBRARY)
def test_an_expression_is_written_as_the_graph_that_it_was_read_from(name: str) -> None:
    assert hash_draft(library_draft(name)) == LIBRARY[name].graph_sha256


@pytest.mark.parametrize("title", OTHER_FAMILIES)
def test_so_is_one_of_another_family(title: str) -> None:
    family, text = OTHER_FAMILIES[title]
    graph = compile_text(text, family)
    assert hash_graph(write_graph(read_tree(graph), family)) == hash_graph(graph)


@pytest.mark.parametrize("move", [each for each, _ in MOVES], ids=lambda each: each.__name__)
def test_a_move_gives_what_compiles_to_just_that(move: Callable[[Draft, Random], Draft | None]) -> None:
    drafts = [library_draft(name) for name in LIBRARY]
    drafts += [start_fresh(family, Random(seed)) for family in Family for seed in range(4)]
    moved = [(draft, move(draft, Random(seed))) for seed, draft in enumerate(drafts)]
    changed = [(draft, after) for draft, after in moved if after is not None]
    assert changed
    for draft, after in changed:
        graph = write_graph(after.root, after.family)
        assert read_graph(graph.document()) == graph
        assert len(after.said) == len(draft.said) + 1
    for _, after in changed[::5]:
        graph = write_graph(after.root, after.family)
        assert hash_graph(compile_text(print_graph(graph), after.family)) == hash_graph(graph)


@pytest.mark.parametrize("family", Family)
def test_every_family_has_forms_to_start_from(family: Family) -> None:
    drafts = [start_fresh(family, Random(seed)) for seed in range(40)]
    assert all(draft.is_by_row for draft in drafts)
    assert len({hash_draft(draft) for draft in drafts}) > 10


@pytest.mark.parametrize(
    ("name", "logits"),
    [("dpo", 1), ("cdpo", 1), ("lrml", 1), ("ipo", 1), ("apo_zero", 2), ("kto_pair", 2), ("aot", 0)],
)
def test_logits_are_what_the_outermost_links_are_given(name: str, logits: int) -> None:
    assert len(library_draft(name).logits) == logits


def test_what_another_beta_or_rate_does_is_no_number_to_change() -> None:
    assert draft_of("0.3 * -F.logsigmoid(2.5 * z)").numbers == []
    assert draft_of("torch.relu(1.5 - z)").numbers == []
    assert [each.value for each in draft_of("-F.logsigmoid(z - 0.3)").numbers] == [0.3]
    assert [each.value for each in library_draft("cdpo").numbers] == [0.1]


def test_a_share_stays_one_and_a_weight_keeps_falling() -> None:
    shares = [change_number(library_draft("cdpo"), Random(seed)) for seed in range(40)]
    assert all(0 < each.numbers[0].value < 1 for each in shares if each is not None)
    falling = draft_of(
        "torch.exp(-0.7 * (chosen_lengths - rejected_lengths).abs()) * -F.logsigmoid(z)",
        "chosen_lengths",
        "rejected_lengths",
    )
    changed = [change_number(falling, Random(seed)) for seed in range(40)]
    assert {each.numbers[0].value < 0 for each in changed if each is not None} == {True}


def test_an_offset_may_change_its_sign() -> None:
    shifted = draft_of(
        "-F.logsigmoid(z - 0.1 * (chosen_lengths - rejected_lengths))", "chosen_lengths", "rejected_lengths"
    )
    values = {each.numbers[0].value for seed in range(40) if (each := change_number(shifted, Random(seed)))}
    assert values == {-0.1, 0.03, 0.05, 0.2, 0.3}


def test_leaving_out_keeps_beta_and_what_moves() -> None:
    found = draw_all(leave_out, draft_of(DPO))
    assert found == {
        hash_result("-F.logsigmoid(beta * (policy_chosen_logps - policy_rejected_logps))"),
        hash_result(f"-F.logsigmoid(beta * (policy_chosen_logps - {REFERENCE}))"),
        hash_result(f"-F.logsigmoid(beta * (-policy_rejected_logps - {REFERENCE}))"),
        *(
            hash_result(f"-F.logsigmoid(beta * ((policy_chosen_logps - policy_rejected_logps) - {one}))")
            for one in ("reference_chosen_logps", "-reference_rejected_logps")
        ),
    }


REFERENCE = "(reference_chosen_logps - reference_rejected_logps)"


def test_a_link_is_changed_wherever_it_stands() -> None:
    found = draw_all(change_link, draft_of("-0.9 * F.logsigmoid(z) - 0.1 * F.logsigmoid(-z)"))
    assert hash_result("-0.9 * -torch.relu(1 - z) - 0.1 * -torch.relu(1 - -z)") in found


def test_log_probabilities_are_divided_by_the_length_of_their_own_answer_and_only_once() -> None:
    by_length = relate_to_length(draft_of(DPO), Random(0))
    assert by_length is not None
    terms = [
        f"{who}_{what}_logps / {what}_lengths.clamp(min=1)"
        for who in ("policy", "reference")
        for what in ("chosen", "rejected")
    ]
    expected = f"-F.logsigmoid(beta * (({terms[0]} - {terms[1]}) - ({terms[2]} - {terms[3]})))"
    assert hash_draft(by_length) == hash_result(expected, "chosen_lengths", "rejected_lengths")
    assert relate_to_length(by_length, Random(0)) is None


LENGTHS = ("chosen_lengths", "rejected_lengths")
SHIFTED = "-F.logsigmoid(z - 0.15 * (chosen_lengths - rejected_lengths))"
WEIGHED = "torch.where(annotator == 0, -F.logsigmoid(z), 0.0)"


def test_what_two_parents_do_well_comes_together() -> None:
    shifted, weighed = draft_of(SHIFTED, *LENGTHS), draft_of(WEIGHED, "annotator")
    both = hash_result(f"torch.where(annotator == 0, {SHIFTED}, 0.0)", *LENGTHS, "annotator")
    assert both in draw_all(lambda draft, chance: take_weight(draft, weighed, chance), shifted)
    assert both in draw_all(lambda draft, chance: take_offset(draft, shifted, chance), weighed)
    assert both in draw_all(lambda draft, chance: take_logit(draft, shifted, chance), weighed)


def test_parents_that_share_no_part_are_blended_and_ones_that_cannot_be_are_not_joined() -> None:
    assert draw_all(lambda draft, chance: blend_both(draft, library_draft("sign"), chance), draft_of(DPO))
    assert join(library_draft("aot"), library_draft("aot"), Random(0)) is None
