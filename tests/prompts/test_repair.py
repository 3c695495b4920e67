"""What goes back to the model after a reply that no loss could be made of."""

import json
from pathlib import Path

import pytest

from discovery_service.domain.campaign import StrategyName
from discovery_service.domain.proposals import MAX_REPAIRS
from discovery_service.losses.refusals import Refusal, RefusalCode
from discovery_service.prompts.brief import Message
from discovery_service.prompts.parse import FailureCode, ReplyFailure, parse_reply
from discovery_service.prompts.repair import MOST_REASONS, ask_again, tell_failure, tell_refusals
from discovery_service.prompts.replies import MAX_CHARACTERS, show_reply
from tests.prompts.cases import make_prompt

REPLIES = Path(__file__).parents[1] / "data" / "llm_replies.jsonl"
REFUSAL = Refusal(RefusalCode.BRANCH_ON_TENSOR, "Write torch.where(condition, a, b).", 7).document()


@pytest.mark.parametrize("code", FailureCode)
def test_a_reply_without_a_loss_goes_back_with_its_code_and_what_to_send(code: FailureCode) -> None:
    told = tell_failure(ReplyFailure(code, "Answer so and so."), left=2)
    assert told == (
        f"The reply cannot be used ({code}): Answer so and so.\n\n"
        "Send the whole JSON object again with this corrected and the idea kept. "
        "2 corrections are left, this one among them."
    )


@pytest.mark.parametrize("code", RefusalCode)
def test_a_refused_loss_goes_back_with_code_line_and_sentence(code: RefusalCode) -> None:
    told = tell_refusals([Refusal(code, "It is so and so.", 7).document()], left=1)
    assert told.startswith(
        f"The loss was refused before any training:\n- `{code}`, line 7 of the code: It is so and so.\n\n"
    )
    assert told.endswith("This is the last correction.")


def test_a_twin_is_asked_to_behave_otherwise_and_everything_else_to_keep_its_idea() -> None:
    twin = Refusal(RefusalCode.DUPLICATE, "The loss behaves like dpo.").document()
    assert "behaves otherwise" in tell_refusals([twin], left=1)
    assert "the idea kept" not in tell_refusals([twin], left=1)
    assert "the idea kept" in tell_refusals([REFUSAL], left=1)


def test_a_refusal_of_no_line_names_none_and_of_many_the_first_are_told() -> None:
    many = [Refusal(RefusalCode.STATE, f"Fault {number}.").document() for number in range(20)]
    told = tell_refusals(many, left=2)
    assert "line" not in told
    assert [f"Fault {number}." in told for number in range(20)] == [True] * MOST_REASONS + [False] * (20 - MOST_REASONS)


def test_a_refusal_without_a_reason_is_our_own_fault() -> None:
    with pytest.raises(ValueError, match="says why"):
        tell_refusals([], left=1)


def test_the_exchange_goes_on_from_what_was_said_and_takes_turns() -> None:
    messages = make_prompt(StrategyName.EVOLVE).messages
    told = tell_refusals([REFUSAL], left=MAX_REPAIRS)
    again = ask_again(messages, '{"thought": "x", "name": "y", "code": "z"}', told)
    assert again[: len(messages)] == messages
    assert again[len(messages) :] == (
        Message("assistant", '{"thought": "x", "name": "y", "code": "z"}'),
        Message("user", told),
    )
    twice = ask_again(again, "no", told)
    assert [each.role for each in twice] == ["system", "user", *["assistant", "user"] * MAX_REPAIRS]


@pytest.mark.parametrize("reply", ["", " \n", "<think>only thoughts", "<think>only</think>  "])
def test_a_reply_of_nothing_is_shown_as_such(reply: str) -> None:
    """Endpoints refuse a message without content."""
    assert show_reply(reply) == "(an empty reply)"


def test_a_reply_without_end_is_shown_by_both_its_ends() -> None:
    shown = show_reply("a" * 300_000 + "b" * 100_000)
    assert len(shown) < MAX_CHARACTERS + 100
    assert shown.startswith("aaa")
    assert shown.endswith("bbb")
    assert "(… 376,000 characters left out …)" in shown


def test_real_replies_are_shown_without_their_thoughts_and_say_the_same() -> None:
    for line in REPLIES.read_text(encoding="utf-8").splitlines():
        reply = json.loads(line)["reply"]
        shown = show_reply(reply)
        assert "<think>" not in shown.partition("{")[0]
        if "<think>" not in reply or "</think>" in reply:
            assert parse_reply(shown) == parse_reply(reply)
