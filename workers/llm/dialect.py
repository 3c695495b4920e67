"""What an endpoint takes of what the API offers, found out by being refused, and remembered while the process lives.

Covered: a JSON schema, else JSON mode, else plain text; `max_tokens`, else the name that newer models want for it.
A refusal costs no tokens. An endpoint that ignores what it does not know is not found out: replies are read leniently.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from workers.llm.models import Model

_ABOUT_FORMAT = re.compile(r"response.?format|json.?(?:schema|object|mode)|structured.?output|guided", re.IGNORECASE)
_WANTS_NEW_LIMIT = "max_completion_tokens"


class ReplyFormat(StrEnum):
    SCHEMA = "json_schema"
    OBJECT = "json_object"
    TEXT = "text"


@dataclass(frozen=True)
class Dialect:
    format: ReplyFormat = ReplyFormat.SCHEMA
    # Tried first, because who does not know the newer name ignores it, and then nothing bounds the reply.
    limit: str = "max_tokens"

    def arguments(self, schema: Mapping[str, Any] | None, max_tokens: int) -> dict[str, Any]:
        """Of the request, beside the messages."""
        told: dict[str, Any] = {self.limit: max_tokens}
        if schema is None or self.format is ReplyFormat.TEXT:
            return told
        if self.format is ReplyFormat.OBJECT:
            return told | {"response_format": {"type": "json_object"}}
        named = {"name": "reply", "schema": dict(schema), "strict": True}
        return told | {"response_format": {"type": "json_schema", "json_schema": named}}

    def after_refusal(self, complaint: str, *, asked_schema: bool) -> "Dialect | None":
        """What to try next, if what the endpoint complains of can be left away."""
        if self.limit == "max_tokens" and _WANTS_NEW_LIMIT in complaint:
            return replace(self, limit=_WANTS_NEW_LIMIT)
        if asked_schema and self.format is not ReplyFormat.TEXT and _ABOUT_FORMAT.search(complaint):
            simpler = ReplyFormat.OBJECT if self.format is ReplyFormat.SCHEMA else ReplyFormat.TEXT
            return replace(self, format=simpler)
        return None


_known: dict[tuple[str, str], Dialect] = {}
_lock = threading.Lock()


def find_dialect(model: Model) -> Dialect:
    with _lock:
        return _known.get((model.base_url, model.name), Dialect())


def remember_dialect(model: Model, dialect: Dialect) -> None:
    with _lock:
        _known[model.base_url, model.name] = dialect
