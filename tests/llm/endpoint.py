"""An endpoint on loopback that does to the real client whatever endpoints do, in the order in which a test says so."""

import json
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from workers.llm.recorded import RecordedHandler, RecordedServer, completion

KEY = "sk-a-key-that-nobody-may-see"


class Handler(RecordedHandler):
    server: "Endpoint"

    def do_POST(self) -> None:  # noqa: N802 - named by the base class
        body = self.read_body()
        assert body is not None
        endpoint = self.server
        with endpoint.lock:
            endpoint.requests.append({"key": self.headers["Authorization"], **json.loads(body)})
            behaviour = endpoint.script.popleft() if endpoint.script else endpoint.otherwise
        endpoint.asked.set()
        behaviour(self)


Behaviour = Callable[[Handler], None]


class Endpoint(RecordedServer):
    """Answers the first requests as its script says, and all others as it does `otherwise`."""

    def __init__(self, *script: Behaviour, otherwise: Behaviour | None = None) -> None:
        super().__init__(0, Handler)
        self.script = deque(script)
        self.otherwise = otherwise or replying()
        self.requests: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.asked = threading.Event()
        self.left = threading.Event()
        """Whoever asked closed the connection before there was an answer."""
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> "Endpoint":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


def replying(
    text: str = '{"code": "x"}',
    *,
    tokens: tuple[int, int] = (100, 50),
    usage: Any = ...,
    finish_reason: str = "stop",
    message: Mapping[str, Any] | None = None,
) -> Behaviour:
    """A chat completion; `usage` and parts of the message may be what no documentation says."""

    def behave(handler: Handler) -> None:
        document = completion("chat-1", "a-model-2026", text, tokens_in=tokens[0], tokens_out=tokens[1])
        choice = document["choices"][0]
        choice["finish_reason"] = finish_reason
        choice["message"] |= message or {}
        if usage is not ...:
            document["usage"] = usage
        handler.send(HTTPStatus.OK, document)

    return behave


def overcharging(text: str = '{"code": "x"}') -> Behaviour:
    """A reply of which more is charged than the request allowed, as where thinking is counted apart from max_tokens."""

    def behave(handler: Handler) -> None:
        replying(text, tokens=(100, 5 * handler.server.requests[-1]["max_tokens"]))(handler)

    return behave


_TOKEN = re.compile(r" *[A-Za-z]{1,5}|\d|[^\S ]| *[^A-Za-z\d\s]")


def limited_to(context_tokens: int, text: str = '{"code": "x"}') -> Behaviour:
    """Replies where prompt, schema and the longest reply fit into the context of a small model, as vLLM does."""

    def behave(handler: Handler) -> None:
        request = handler.server.requests[-1]
        said = [each["content"] for each in request["messages"]] + [json.dumps(request.get("response_format"))]
        tokens = sum(4 + len(_TOKEN.findall(each)) for each in said)
        limit = request["max_tokens"]
        if tokens + limit <= context_tokens:
            replying(text, tokens=(tokens, 50))(handler)
            return
        told = (
            f"'max_tokens' or 'max_completion_tokens' is too large: {limit}. This model's maximum context length is"
            f" {context_tokens} tokens and your request has {tokens} input tokens."
        )
        failing(400, told)(handler)

    return behave


def failing(status: int, said: str = "no", *, code: str | None = None, **headers: str) -> Behaviour:
    """An error as the API documents it."""
    body = json.dumps({"error": {"message": said, "type": "error", "param": None, "code": code}}).encode()
    return sending(body, status=status, **headers)


def sending(body: bytes, *, status: int = 200, content_type: str = "application/json", **headers: str) -> Behaviour:
    """These bytes."""

    def behave(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def cutting(handler: Handler) -> None:
    """Half an answer, then nobody is there."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def staying_silent(handler: Handler) -> None:
    """No byte, until the other side leaves."""
    handler.connection.settimeout(None)
    if not handler.connection.recv(1):
        handler.server.left.set()
    handler.close_connection = True


def dripping(handler: Handler) -> None:
    """A byte now and then without an end, so that no read ever times out."""
    _flow(handler, b" ", pause_s=0.005)


def flooding(handler: Handler) -> None:
    """Bytes without an end, as fast as they are taken."""
    _flow(handler, b" " * 65_536, pause_s=0)


def _flow(handler: Handler, part: bytes, pause_s: float) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    handler.close_connection = True
    try:
        while not handler.server.closing.wait(pause_s):
            handler.wfile.write(part)
    except OSError:
        handler.server.left.set()
