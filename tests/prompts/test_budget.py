"""A prompt is within its budget, or it is no prompt; and what goes first is worth least."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from discovery_service.domain.archive import Archive, Place
from discovery_service.domain.arenas import arena_names
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec, StrategyName
from discovery_service.domain.families import Family
from discovery_service.domain.requests import Kind, Request
from discovery_service.engine.questions import PROMPT_TOKENS
from discovery_service.errors import Unprocessable
from discovery_service.losses.source.parsing import MAX_CHARACTERS
from discovery_service.prompts.brief import Context, Cut, Part, Prompt
from discovery_service.prompts.fitting import PromptTooLong, count_messages, narrow
from discovery_service.prompts.table import KEPT_BEST, KEPT_WORST
from discovery_service.prompts.tokens import count_tokens
from discovery_service.prompts.writing import write_prompt
from tests.prompts.archives import make_archive, make_brief, make_member, make_screened
from tests.prompts.cases import PLENTY, make_context

BRIEF = make_brief(guidance="Prefer losses with no more than one constant.")


def _large(count: int) -> Archive:
    archive = make_archive()
    found = [
        make_member(
            Place(3 + index // 4, index % 4),
            f"found_{index}",
            "cdpo",
            Author.LLM,
            screened=make_screened(0.05 - 0.01 * index),
        )
        for index in range(count)
    ]
    return replace(archive, members=(*archive.members, *found))


def _write(budget: int, strategy: StrategyName = StrategyName.EVOLVE, context: Context | None = None) -> Prompt:
    return write_prompt(BRIEF, context or make_context(strategy), budget_tokens=budget)


def _least(strategy: StrategyName) -> int:
    with pytest.raises(PromptTooLong) as raised:
        _write(0, strategy)
    return int(re.findall(r"about (\d+) tokens", raised.value.detail)[0])


LEAST = {strategy: _least(strategy) for strategy in StrategyName}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(StrategyName)), st.integers(0, 6000))
def test_a_prompt_keeps_to_any_budget_that_its_fixed_part_fits_into(strategy: StrategyName, more: int) -> None:
    budget = LEAST[strategy] + more
    prompt = _write(budget, strategy)
    assert prompt.tokens <= budget
    assert prompt.tokens == count_messages(prompt.messages)


@pytest.mark.parametrize("strategy", StrategyName)
def test_one_token_less_than_the_fixed_part_is_an_error_that_says_what_to_do(strategy: StrategyName) -> None:
    with pytest.raises(
        Unprocessable, match=rf"about {LEAST[strategy]} tokens .* and {LEAST[strategy] - 1} are allowed"
    ):
        _write(LEAST[strategy] - 1, strategy)


@pytest.mark.parametrize("strategy", StrategyName)
def test_nothing_is_cut_without_need_and_each_step_cuts_as_few_as_it_can(strategy: StrategyName) -> None:
    """Down from all of it, a token at a time where that forces another cut."""
    prompt = _write(PLENTY, strategy)
    assert prompt.cuts == ()
    while prompt.tokens > LEAST[strategy]:
        smaller = _write(prompt.tokens - 1, strategy)
        assert smaller.cuts[: len(prompt.cuts)] == prompt.cuts
        assert len(smaller.cuts) > len(prompt.cuts)
        prompt = smaller


def test_what_is_worth_least_goes_first() -> None:
    cuts = _write(LEAST[StrategyName.EVOLVE]).cuts
    order = list(dict.fromkeys(each.part for each in cuts))
    assert order == [
        Part.TRAINING_OF_INSPIRATION,
        Part.REFUSAL,
        Part.INSPIRATION,
        Part.ROW,
        Part.TRAINING_OF_PARENT,
        Part.PARENT,
    ]


def test_what_no_prompt_can_do_without_is_in_the_shortest_one() -> None:
    whole, least = _write(PLENTY), _write(LEAST[StrategyName.EVOLVE])
    assert least.messages[0] == whole.messages[0]
    said = least.messages[1].content
    assert BRIEF.guidance in said
    assert re.findall(r"^\| (\d+\.\d+) \|", said, re.MULTILINE) == ["0.0", "1.0"]
    assert "# Parent" not in said
    assert said.endswith("Propose a loss that differs in its mechanism from every loss above.")


def test_a_parent_goes_whole_and_the_others_are_asked_about_as_they_stand() -> None:
    context = make_context(StrategyName.EVOLVE)
    first, second = (context.archive.by_place[place] for place in context.request.parents)
    both = _write(PLENTY)
    while Cut(Part.PARENT, second.place) not in both.cuts:
        prompt, both = both, _write(both.tokens - 1)
    assert all(each.source.strip() in prompt.messages[1].content for each in (first, second))
    assert narrow(context.request, prompt.cuts).kind is Kind.COMBINE
    said = both.messages[1].content
    assert all(f"- {sentence}" in said for sentence in context.passports[first.place])
    assert "Propose a loss that changes one thing about weighted_margin (1.0)." in said
    assert second.source.strip() not in said
    assert narrow(context.request, both.cuts) == Request(Kind.IMPROVE, (first.place,))


@pytest.mark.parametrize("strategy", StrategyName)
def test_whatever_losses_and_operators_say_a_prompt_is_written(strategy: StrategyName) -> None:
    """As long as the gate and the API let it be."""
    longest = f"def f(beta):\n    return {'-' * (MAX_CHARACTERS - 40)}beta\n"
    archive = make_archive()
    members = [replace(each, source=longest, name="_" * 200, formula="|" * 200) for each in archive.members]
    context = replace(make_context(strategy), archive=replace(archive, members=tuple(members)))
    guidance = CampaignSpec(arena="plain", guidance="-" * 8000).guidance
    with pytest.raises(ValidationError):
        CampaignSpec(arena="plain", guidance=f"{guidance}-")
    for arena in arena_names(Family.PAIRWISE):
        prompt = write_prompt(make_brief(arena, guidance=guidance), context, budget_tokens=PROMPT_TOKENS)
        assert guidance in prompt.messages[1].content


def test_rows_go_from_the_middle_and_their_number_is_said() -> None:
    archive = _large(20)
    context = Context(StrategyName.EVOLVE, Request(Kind.FRESH), archive)
    ranked = re.findall(r"^\| (\d+\.\d+) \|", _write(PLENTY, context=context).messages[1].content, re.MULTILINE)
    assert len(ranked) == 28
    whole = _write(PLENTY, context=context).tokens
    for budget in (whole - 200, whole - 500, whole - 900):
        said = _write(budget, context=context).messages[1].content
        left = re.findall(r"^\| (\d+\.\d+) \|", said, re.MULTILINE)
        gap = len(ranked) - len(left)
        assert left[: KEPT_BEST + 1] == ranked[: KEPT_BEST + 1]
        assert left[-KEPT_WORST:] == ranked[-KEPT_WORST:]
        assert left == [*ranked[: len(left) - KEPT_WORST], *ranked[-KEPT_WORST:]]
        assert f"| … | {gap} losses that rank here are left out for length |" in said


def test_the_oldest_of_a_conversation_goes_first_and_refused_replies_before_others() -> None:
    cuts = [each.place for each in _write(LEAST[StrategyName.DISCOPOP], StrategyName.DISCOPOP).cuts]
    assert cuts[:4] == [Place(1, 0, 0), Place(2, 1), Place(1, 0, 1), Place(2, 0)]


def test_a_cut_conversation_still_takes_turns_and_says_what_is_gone() -> None:
    whole = _write(PLENTY, StrategyName.DISCOPOP)
    prompt = _write(whole.tokens - 100, StrategyName.DISCOPOP)
    roles = [each.role for each in prompt.messages]
    assert roles == ["system", "user", *["assistant", "user"] * ((len(roles) - 2) // 2)]
    gone = [each for each in prompt.cuts if each.part is Part.EXCHANGE]
    assert (
        f"({len(gone)} earlier proposals of this conversation are left out for length.)" in prompt.messages[1].content
    )


def test_the_account_of_the_cuts_is_json_by_place() -> None:
    cut = _write(LEAST[StrategyName.EVOLVE]).document()["cuts"][0]
    assert cut == {"part": "training of an inspiration", "place": [0, 3, 0]}


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=6))
def test_joined_lines_have_the_tokens_of_the_lines_and_one_for_each_break(lines: list[str]) -> None:
    lines = [line.replace("\n", "") for line in lines]
    parts = sum(map(count_tokens, lines))
    assert count_tokens("\n".join(lines)) == parts + max(0, len(lines) - 1)


@pytest.mark.parametrize(
    ("text", "o200k"),
    [
        # Counted with OpenAI's o200k_base.
        (
            "    rho = (policy_chosen_logps - policy_rejected_logps) - (rho)",
            20,
        ),
        ("| +0.4983 [+0.3412, +0.6554] | 1.688 [1.590, 1.785] | 1, 0.0015, 120 |", 46),
    ],
)
def test_numbers_cost_more_tokens_than_their_characters_tell(text: str, o200k: int) -> None:
    assert o200k <= count_tokens(text) <= 1.25 * o200k
