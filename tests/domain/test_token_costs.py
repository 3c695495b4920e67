"""What is reserved covers what is spent, and no call with a price is free."""

import re
from decimal import Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from discovery_service.domain.token_costs import Price, Spent, count_at_most, count_prompt, worst_case

# What every byte-level tokeniser in use splits first; digits one by one, as the least able ones do.
PIECES = re.compile(r" ?[^\W\d_]+|\d| ?[^\s\w]+|_|\s+(?!\S)|\s+")
PRICE = Price(Decimal("0.25"), Decimal(2))
tokens = st.integers(0, 10**7)
dollars = st.decimals(0, 1000, places=4)


@settings(max_examples=200, deadline=None)
@example("A\n")
@example("a  b")
@example("\na\na\n")
@given(st.text(max_size=200) | st.text("aB .1\n\t", max_size=200))
def test_the_bound_holds_a_token_for_every_piece_and_none_for_nothing(text: str) -> None:
    assert len(PIECES.findall(text)) <= count_at_most(text) <= len(text.encode(errors="replace"))


def test_the_bound_is_not_far_above_what_tables_and_code_take() -> None:
    table = "| dpo | +0.0000 [-0.0310, 0.0310] | 1.2731 | 0.8412 |\n" * 50
    code = "def f(policy_chosen_logps, beta):\n    return -F.logsigmoid(beta * policy_chosen_logps)\n" * 50
    for text in (table, code):
        assert count_at_most(text) <= 1.5 * len(PIECES.findall(text)) + 200 or count_at_most(text) <= 0.8 * len(text)


@settings(max_examples=100, deadline=None)
@given(dollars, dollars, tokens, tokens, tokens, tokens)
def test_fewer_tokens_never_cost_more_than_was_reserved(
    input_usd: Decimal, output_usd: Decimal, most_in: int, most_out: int, less_in: int, less_out: int
) -> None:
    price = Price(input_usd, output_usd)
    reserved = Spent.at(price, most_in, most_out)
    spent = Spent.at(price, min(most_in, less_in), min(most_out, less_out))
    assert reserved.cost_usd is not None
    assert spent.cost_usd is not None
    assert spent.cost_usd <= reserved.cost_usd


def test_dollars_are_rounded_up_to_what_the_database_holds() -> None:
    assert PRICE.of(1, 0) == Decimal("0.000001")
    assert PRICE.of(1_000_000, 500_000) == Decimal("1.25")


def test_the_worst_case_is_the_whole_prompt_and_the_longest_reply() -> None:
    messages = [{"role": "user", "content": "Write a loss."}, {"role": "assistant", "content": "{}"}]
    plain = worst_case(messages, None, 1000, PRICE)
    assert plain == Spent.at(PRICE, count_prompt(messages, None), 1000, is_estimated=True)
    assert plain.tokens_in > sum(count_at_most(each["content"]) for each in messages)
    with_schema = worst_case(messages, {"type": "object"}, 1000, PRICE)
    assert with_schema.tokens > plain.tokens
