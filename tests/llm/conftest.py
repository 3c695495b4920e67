"""What the tests of the client share."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from discovery_service.domain.token_costs import Price
from discovery_service.settings import ModelOptions
from tests.llm.endpoint import KEY, Behaviour, Endpoint
from workers.llm.asking import Question
from workers.llm.models import Model

QUESTION = Question(
    messages=({"role": "system", "content": "Answer in JSON."}, {"role": "user", "content": "Write a loss."}),
    schema={"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
)
PRICE = Price(Decimal("1.25"), Decimal(10))


class Waits(threading.Event):
    """A cancellation that never comes; what would be waited for in between is noted and not waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        return self.is_set()


@pytest.fixture
def waits() -> Waits:
    return Waits()


StartEndpoint = Callable[..., Endpoint]


@pytest.fixture
def start_endpoint() -> Iterator[StartEndpoint]:
    with ExitStack() as stack:

        def start(*script: Behaviour, **options: Any) -> Endpoint:
            return stack.enter_context(Endpoint(*script, **options))

        yield start


def model_at(endpoint: Endpoint | str, *, price: Price | None = PRICE, **options: Any) -> Model:
    url = endpoint if isinstance(endpoint, str) else endpoint.url
    return Model("a-model", url, SecretStr(KEY), price, ModelOptions(**{"max_tokens": 1000, **options}))
