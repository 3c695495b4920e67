"""The loopback endpoint: answers like an OpenAI-compatible one, with replies that were recorded.

`POST /v1/chat/completions` for the model "recorded/ARENA", with the recording's round and slot and the turn in the
request's metadata; the messages are not looked at. `GET /v1/models`. Every answer names that model, so that whoever
stores it stores that it was recorded; it counts no tokens, because no model worked. Listens on 127.0.0.1 alone.
"""

import json
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import BaseModel, ValidationError

from discovery_service.domain.recorded import RECORDED_KINDS
from discovery_service.errors import UsageError
from workers.llm.recordings import find_recording

HOST = "127.0.0.1"
PREFIX = "recorded/"
MAX_REQUEST_BYTES = 8 << 20


class _Place(BaseModel):
    """In the campaign that was recorded; metadata are texts."""

    round: int
    slot: int
    turn: int = 0


class _Request(BaseModel):
    model: str
    metadata: _Place
    stream: bool = False


class RecordedHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        if self.path.rstrip("/") != "/v1/models":
            self.refuse(HTTPStatus.NOT_FOUND, "There are /v1/models and /v1/chat/completions.", "unknown_url")
            return
        models = [{"id": f"{PREFIX}{arena}", "object": "model", "owned_by": "recorded"} for arena in RECORDED_KINDS]
        self.send(HTTPStatus.OK, {"object": "list", "data": models})

    def do_POST(self) -> None:
        body = self.read_body()
        if body is None:
            return
        if self.path != "/v1/chat/completions":
            self.refuse(HTTPStatus.NOT_FOUND, "There are /v1/models and /v1/chat/completions.", "unknown_url")
            return
        try:
            request = _Request.model_validate_json(body)
        except ValidationError as error:
            wrong = ", ".join(sorted({".".join(map(str, each["loc"])) or "body" for each in error.errors()}))
            said = f"A recording is chosen by model and by round and slot in metadata; these cannot be used: {wrong}."
            self.refuse(HTTPStatus.BAD_REQUEST, said, "invalid_request")
            return
        self.answer(request)

    def answer(self, request: _Request) -> None:
        arena, place = request.model.removeprefix(PREFIX), request.metadata
        if not request.model.startswith(PREFIX) or arena not in RECORDED_KINDS:
            there_are = ", ".join(RECORDED_KINDS)
            said = f"There are recordings for {there_are}, and none for {request.model}."
            self.refuse(HTTPStatus.NOT_FOUND, said, "model_not_found")
        elif request.stream:
            self.refuse(HTTPStatus.BAD_REQUEST, "A recording is not streamed.", "invalid_request")
        elif place.turn:
            self.refuse(HTTPStatus.GONE, "A recording has no repair turn.", "not_recorded")
        elif (recording := find_recording(arena, place.round, place.slot)) is None:
            said = f"The recording of {arena} has no round {place.round}, slot {place.slot}: it has ended."
            self.refuse(HTTPStatus.GONE, said, "not_recorded")
        else:
            name = f"recorded-{arena}-{place.round}-{place.slot}"
            self.send(HTTPStatus.OK, completion(name, request.model, recording.reply))

    def read_body(self) -> bytes | None:
        """None when it was refused."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_REQUEST_BYTES:
            self.close_connection = True
            said = f"A request says its length, of at most {MAX_REQUEST_BYTES} bytes."
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said, "invalid_request")
            return None
        return self.rfile.read(int(length))

    def refuse(self, status: HTTPStatus, message: str, code: str) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        self.send(status, {"error": error})

    def send(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """What is played is in the exchanges' rows."""


def completion(name: str, model: str, text: str, *, tokens_in: int = 0, tokens_out: int = 0) -> dict[str, Any]:
    """A chat completion as the API documents it."""
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": name,
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": usage,
    }


class RecordedServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, handler: type[RecordedHandler] = RecordedHandler) -> None:
        try:
            super().__init__((HOST, port), handler)
        except OSError as error:
            raise UsageError(
                f"Port {port} on {HOST} cannot be used: {error.strerror}. Choose another --port."
            ) from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked may go before the answer is through; anything else is a fault of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """As `DISCOVERY__LLM__RECORDED_URL` takes it."""
        return f"http://{HOST}:{self.server_address[1]}/v1"
