"""What a proposal needs next follows from its rows, and every way through them ends."""

from itertools import product

import pytest

from discovery_service.domain.authors import Author
from discovery_service.domain.proposals import MAX_REPAIRS, Next, Step, Turn, count_repairs, find_step
from discovery_service.domain.states import CandidateStatus, ExchangeStatus, ProposalStatus

X, G, P = ExchangeStatus, CandidateStatus, ProposalStatus
REFUSED = Turn(X.ANSWERED, has_loss=True, candidate=G.REJECTED)
NO_LOSS = Turn(X.ANSWERED, has_loss=False)
ENDINGS = [
    Turn(X.FAILED),
    Turn(X.CANCELLED),
    Turn(X.ABANDONED),
    NO_LOSS,
    *(
        Turn(X.ANSWERED, has_loss=True, candidate=status)
        for status in (G.ACCEPTED, G.REJECTED, G.CANCELLED, G.ABANDONED)
    ),
]


@pytest.mark.parametrize("author", Author)
def test_it_is_asked_first_and_whatever_comes_it_ends_after_its_repairs(author: Author) -> None:
    for turns in product(ENDINGS, repeat=count_repairs(author) + 1):
        seen: list[Turn] = []
        for turn in turns:
            step = find_step(author, seen)
            if step.next is Next.END:
                break
            assert step == Step(Next.ASK, len(seen))
            seen.append(turn)
        end = find_step(author, seen)
        assert (end.next, end.turn) == (Next.END, len(seen) - 1)
        assert end.status is not None


@pytest.mark.parametrize("last", [REFUSED, NO_LOSS])
def test_a_refusal_goes_back_at_most_twice(last: Turn) -> None:
    assert [find_step(Author.LLM, [last] * n).next for n in range(1, MAX_REPAIRS + 2)] == [Next.ASK] * 2 + [Next.END]
    assert find_step(Author.RECORDED, [last]).next is Next.END


def test_how_it_ends_is_told_by_its_last_turn() -> None:
    accepted = Turn(X.ANSWERED, has_loss=True, candidate=G.ACCEPTED)
    assert find_step(Author.LLM, [NO_LOSS, REFUSED, accepted]).status is P.ANSWERED
    assert find_step(Author.LLM, [REFUSED, REFUSED, NO_LOSS]).status is P.UNPARSABLE
    assert find_step(Author.RECORDED, [REFUSED]).status is P.ANSWERED
    assert find_step(Author.LLM, [REFUSED, Turn(X.FAILED)]).status is P.FAILED


def test_nobody_is_asked_while_somebody_is_at_it() -> None:
    for turn in (Turn(X.QUEUED), Turn(X.ASKING), *(Turn(X.ANSWERED, True, at) for at in (G.PROPOSED, G.GATING))):
        assert find_step(Author.LLM, [REFUSED, turn]) == Step(Next.WAIT, 1)
    assert find_step(Author.LLM, [Turn(X.ANSWERED)]) == Step(Next.READ, 0)
