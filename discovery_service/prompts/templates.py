"""The words of the prompts by version: one file of named sections, and the form of a reply as data for the client.

A prompt that was sent names its version, so a version whose prompts are stored anywhere keeps its words.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

VERSION = "1"
_SECTION = re.compile(r"^%% (\S+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Words:
    version: str
    sections: Mapping[str, Template]
    reply: Mapping[str, Any]
    """What `response_format` of the type json_schema holds: name, strict and schema."""

    def say(self, section: str, **values: object) -> str:
        """KeyError where a section or a value is missing: nothing is sent with a hole in it."""
        return self.sections[section].substitute({name: str(value) for name, value in values.items()})


@cache
def read_words(version: str = VERSION) -> Words:
    place = files("discovery_service.prompts") / "templates" / f"v{version}"
    _, *parts = _SECTION.split((place / "prompt.txt").read_text(encoding="utf-8"))
    sections = {name: Template(text.strip("\n")) for name, text in zip(parts[::2], parts[1::2], strict=True)}
    return Words(version, sections, json.loads((place / "reply.json").read_text(encoding="utf-8")))
