"""DiscoPOP's way of asking: what the model said, and what came of it, in the order in which it was asked."""

from dataclasses import replace

from discovery_service.domain.archive import Archive, Place
from discovery_service.domain.campaign import StrategyName
from discovery_service.domain.requests import Kind, Request
from discovery_service.prompts.brief import Context, Message
from discovery_service.prompts.replies import show_reply
from discovery_service.prompts.writing import write_prompt
from tests.prompts.archives import make_archive, make_brief
from tests.prompts.cases import PLENTY, REPLIES


def _talk(archive: Archive, replies: dict[Place, str]) -> tuple[Message, ...]:
    context = Context(StrategyName.DISCOPOP, Request(Kind.FRESH), archive, replies=replies)
    return write_prompt(make_brief(), context, budget_tokens=PLENTY).messages


def test_each_reply_is_followed_by_what_came_of_it() -> None:
    system, first, *turns = _talk(make_archive(), REPLIES)
    assert (system.role, first.role) == ("system", "user")
    assert [each.content for each in turns[::2]] == [show_reply(REPLIES[place]) for place in sorted(REPLIES)]
    said = [each.content for each in turns[1::2]]
    assert [each.split("\n")[0] for each in said] == [
        "Refused (branch_on_tensor): The choice depends on a tensor's values: write torch.where(condition, a, b).",
        "Measured:",
        "Measured:",
        said[3].split("\n")[0],
    ]
    assert "difference in J to dpo: +0.2346 [+0.1112, +0.3580]" in said[1]
    assert said[3].startswith("Refused (duplicate)")


def test_a_refused_reply_that_was_sent_again_asks_for_a_correction_and_the_others_for_the_next_loss() -> None:
    asked = [each.content.rpartition("\n\n")[2] for each in _talk(make_archive(), REPLIES)[3::2]]
    assert asked == ["Send the proposal again, corrected.", *["Propose the next loss."] * 3]


def test_the_last_word_is_the_users() -> None:
    """Whatever the model is asked from."""
    for count in range(len(REPLIES) + 1):
        messages = _talk(make_archive(), dict(sorted(REPLIES.items())[:count]))
        assert [each.role for each in messages] == ["system", "user", *["assistant", "user"] * count]


def test_a_reply_of_which_nothing_is_known_yet_is_no_part_of_it() -> None:
    """A round that is not closed, or not seen by this one."""
    assert _talk(make_archive(), {**REPLIES, Place(5, 0): "later"}) == _talk(make_archive(), REPLIES)


def test_a_loss_that_was_stopped_or_could_not_be_measured_is_told_so() -> None:
    archive = make_archive()
    members = tuple(replace(each, is_stopped=each.place == Place(2, 0), failures=()) for each in archive.members)
    said = _talk(replace(archive, members=members), {Place(2, 0): "x", Place(1, 1): "y"})
    assert [each.content.split("\n")[1] for each in said[3::2]] == ["verdict: not measured", "verdict: stopped"]
