"""The words as they are installed, and the form of a reply as endpoints demand it."""

import json
import re
import tomllib
from fnmatch import fnmatch

import jsonschema
import pytest

from discovery_service.prompts.parse import Reply, parse_reply
from discovery_service.prompts.templates import VERSION, read_words
from tests.house.tree import REPOSITORY
from workers.llm.recordings import FILE

SOURCES = REPOSITORY / "discovery_service" / "prompts"
STRICT_KEYS = {"type", "properties", "required", "additionalProperties", "description", "items", "enum", "anyOf"}
"""Of what OpenAI's strict structured outputs take; limits of length and patterns are not everywhere among it."""


def test_the_newest_version_is_the_current_one() -> None:
    versions = sorted(path.name for path in (SOURCES / "templates").iterdir())
    assert versions[-1] == f"v{VERSION}"
    assert read_words().version == VERSION


def test_no_section_is_named_twice_and_each_is_used() -> None:
    text = (SOURCES / "templates" / f"v{VERSION}" / "prompt.txt").read_text(encoding="utf-8")
    named = re.findall(r"^%% (\S+)$", text, re.MULTILINE)
    assert len(named) == len(set(named)) == len(read_words().sections)
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES.glob("*.py"))
    bases = {name.partition(".")[0] if name.count(".") else name for name in named}
    assert [name for name in sorted(bases) if not re.search(f"[\"']{re.escape(name)}", code)] == []


def test_nothing_is_sent_with_a_hole_in_it() -> None:
    with pytest.raises(KeyError):
        read_words().say("parent", id="1.0")


def test_a_wheel_holds_the_templates() -> None:
    """What is in the wheel is shown by building it; that the pattern names these files, here and faster."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["discovery_service"]
    files = [path for path in (SOURCES / "templates").rglob("*") if path.is_file()]
    shown = [str(path.relative_to(SOURCES.parent)) for path in files]
    assert shown
    assert [path for path in shown if not any(fnmatch(path, pattern) for pattern in patterns)] == []


def test_the_form_of_a_reply_keeps_to_strict_structured_outputs() -> None:
    reply = read_words().reply
    assert (set(reply), reply["strict"]) == ({"name", "strict", "schema"}, True)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", reply["name"])
    schema = reply["schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert schema["required"] == list(schema["properties"]) == ["thought", "name", "code"]
    for each in (schema, *schema["properties"].values()):
        assert each.keys() <= STRICT_KEYS


def test_what_keeps_to_the_form_is_read_and_what_models_sent_keeps_to_it() -> None:
    schema = read_words().reply["schema"]
    kept = 0
    for line in FILE.read_text(encoding="utf-8").splitlines():
        reply = parse_reply(json.loads(line)["reply"])
        if isinstance(reply, Reply):
            document = {"thought": reply.thought, "name": reply.name, "code": reply.code}
            jsonschema.validate(document, schema)
            assert parse_reply(json.dumps(document)) == Reply(**document)
            kept += 1
    assert kept == 35
