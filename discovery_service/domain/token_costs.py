"""What a call of a language model may cost at most, and what it did cost: tokens, and dollars where prices are known.

Pure. Reserve the worst case before a call; afterwards what was spent takes its place.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any, Self

MILLION = 1_000_000
_MICRODOLLAR = Decimal("0.000001")
# What a chat template adds: a role and its marks to each message, and what begins the reply.
MESSAGE_TOKENS = 16
TEMPLATE_TOKENS = 64
# Tokenisers that know the least still put two letters of a word into one token, or its first and the space before it,
# and two blanks of many, of which the last may stand alone; each digit, mark or byte of another script may be a token
# of its own.
_MERGED = re.compile(r" ?[A-Za-z]+|[ \n\t]+")

Message = Mapping[str, str]


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens."""

    input_usd: Decimal
    output_usd: Decimal

    def of(self, tokens_in: int, tokens_out: int) -> Decimal:
        """Rounded up to what the database holds, so that many small calls are never free."""
        exact = (self.input_usd * tokens_in + self.output_usd * tokens_out) / MILLION
        return exact.quantize(_MICRODOLLAR, rounding=ROUND_UP)


@dataclass(frozen=True)
class Spent:
    """Of one call or of several; also what is reserved for one that is still to come."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: Decimal | None = Decimal(0)
    """None where tokens were used and the model's price is not known."""
    is_estimated: bool = False
    """An upper bound, because the endpoint told no usage or its answer never came."""

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    @classmethod
    def at(cls, price: Price | None, tokens_in: int, tokens_out: int, *, is_estimated: bool = False) -> Self:
        cost = None if price is None else price.of(tokens_in, tokens_out)
        return cls(tokens_in, tokens_out, cost, is_estimated)


NOTHING = Spent()


def count_at_most(text: str) -> int:
    """Tokens that the text takes under any tokeniser in use; two or three times what most of them need."""
    runs = _MERGED.findall(text)
    merged = sum(len(run) // 2 + 1 if run.isspace() else (len(run) + 1) // 2 for run in runs)
    return merged + len(text.encode(errors="replace")) - sum(map(len, runs))


def worst_case(
    messages: Sequence[Message], schema: Mapping[str, Any] | None, max_tokens: int, price: Price | None
) -> Spent:
    """What a call can cost at most: the prompt under the least able tokeniser, and a reply as long as it may be."""
    return Spent.at(price, count_prompt(messages, schema), max_tokens, is_estimated=True)


def count_prompt(messages: Sequence[Message], schema: Mapping[str, Any] | None) -> int:
    """Of all messages with the template around them, and the schema, which some endpoints write into the prompt."""
    texts = sum(count_at_most(each["content"]) + MESSAGE_TOKENS for each in messages)
    return texts + TEMPLATE_TOKENS + (0 if schema is None else count_at_most(json.dumps(schema)))
