"""Sends requests: with the key, repeating what may be repeated, every failure as an error of this package."""

from collections.abc import Iterator, Mapping
from time import sleep
from typing import Any, TypeVar

import httpx2
from pydantic import ValidationError

from discovery_service.client.errors import ConnectionFailed, DiscoveryError, UnexpectedAnswer, api_error
from discovery_service.client.models import Item, Model, Page

Answer = TypeVar("Answer", bound=Model)

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 5.0
# The service's own limits ask for at most this; who asks for more is better told to the caller.
LONGEST_RETRY_AFTER_S = 60.0


class Transport:
    def __init__(self, base_url: str, api_key: str, *, timeout_s: float, max_retries: int) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"{base_url!r} is no URL of a service; it begins with http:// or https://.")
        if not api_key.isascii() or not api_key.isprintable():
            raise ValueError("The API key holds characters that no key has. Copy it again.")
        self.base_url = base_url.rstrip("/")
        self._max_retries = max_retries
        try:
            self._http = httpx2.Client(
                base_url=self.base_url, headers={"Authorization": f"Bearer {api_key}"}, timeout=timeout_s
            )
        except httpx2.InvalidURL as error:
            raise ValueError(f"{base_url!r} is no URL of a service: {error}.") from error

    def close(self) -> None:
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        retries: int | None = None,
        stream: bool = False,
        **content: Any,
    ) -> httpx2.Response:
        """A successful answer. Parameters that are None are not sent; `retries` is 0 for what may not happen twice;
        `content` is as httpx2 takes it.
        """
        given = {name: value for name, value in (params or {}).items() if value is not None}
        delays = _delays(self._max_retries if retries is None else retries)
        lost_answers = 0
        while True:
            try:
                return self._send_once(self._http.build_request(method, path, params=given, **content), stream=stream)
            except DiscoveryError as error:
                error.lost_answers = lost_answers
                delay_s = next(delays, None)
                if delay_s is None or not error.is_passing or error.retry_after_s > LONGEST_RETRY_AFTER_S:
                    raise
                sleep(max(delay_s, error.retry_after_s))
                lost_answers += isinstance(error, ConnectionFailed)

    def ask(self, answer: type[Answer], method: str, path: str, **content: Any) -> Answer:
        response = self.send(method, path, **content)
        return self.read(answer, response.content)

    def pages(self, page: type[Page[Item]], path: str, params: Mapping[str, Any]) -> Iterator[Item]:
        """Items of all pages; the next one is fetched when somebody wants its first item."""
        while True:
            got = self.ask(page, "GET", path, params=params)
            yield from got.data
            if not got.has_more:
                return
            params = {**params, "after": got.next}

    def read(self, answer: type[Answer], content: bytes | str) -> Answer:
        try:
            return answer.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "body"
            raise UnexpectedAnswer(self.base_url, f"{where}: {first['msg']}") from error

    def _send_once(self, request: httpx2.Request, *, stream: bool) -> httpx2.Response:
        try:
            response = self._http.send(request, stream=stream)
            if response.is_success:
                return response
            response.read()
        except httpx2.RequestError as error:
            raise ConnectionFailed(self.base_url, str(error) or type(error).__name__) from error
        raise api_error(response)


def _delays(retries: int) -> Iterator[float]:
    return (min(FIRST_DELAY_S * 2**number, LONGEST_DELAY_S) for number in range(retries))
