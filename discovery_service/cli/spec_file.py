"""Reads what to create from YAML or JSON; what is wrong with the file is told with its name and line."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from discovery_service.errors import UsageError

STDIN = Path("-")
FIELDS = ("name", "notes", "spec")

_MERGE = "tag:yaml.org,2002:merge"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """YAML that means what JSON would: a key stands once, a date is a text and 1e-5 a number."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML has it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        seen: set[str] = set()
        for key in keys:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_campaign(path: Path) -> dict[str, Any]:
    """The body of a request to create; `-` reads standard input."""
    name = "standard input" if path == STDIN else str(path)
    body = read_mapping(path, "campaign", "name and spec")
    unknown = [str(key) for key in body if key not in FIELDS]
    if unknown:
        raise UsageError(f"{name}: {', '.join(unknown)} is no field here; there are {', '.join(FIELDS)}.")
    spec = body.setdefault("spec", {})
    if not isinstance(spec, dict) or not isinstance(spec.get("budgets", {}), dict):
        raise UsageError(f"{name}: spec has to be a mapping, and so has spec.budgets.")
    return body


def read_mapping(path: Path, thing: str, fields: str) -> dict[str, Any]:
    """What JSON could carry of the file; `-` reads standard input."""
    name = "standard input" if path == STDIN else str(path)
    body = _parse(_read(path, name), path, name)
    if not isinstance(body, dict):
        raise UsageError(f"{name} holds no {thing}: it has to be a mapping with {fields}.")
    return _as_json(body, name)


def read_text(path: Path) -> str:
    """Of a file as it is; `-` reads standard input."""
    return _read(path, "standard input" if path == STDIN else str(path))


def _read(path: Path, name: str) -> str:
    try:
        return sys.stdin.read() if path == STDIN else path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} cannot be read: it is not in UTF-8.") from error


def _parse(text: str, path: Path, name: str) -> Any:
    is_json = path.suffix == ".json" or (path == STDIN and text.lstrip().startswith("{"))
    try:
        return json.loads(text) if is_json else yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except json.JSONDecodeError as error:
        raise UsageError(f"{name}, line {error.lineno}: {error.msg}.") from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise UsageError(f"{name}{line}: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{name} is no YAML: {' '.join(str(error).split())}.") from error


def _as_json(body: dict[str, Any], name: str) -> dict[str, Any]:
    """The same as JSON carries it; YAML can say more."""
    try:
        plain = json.loads(json.dumps(body, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} holds something that JSON cannot carry: {error}.") from error
    assert isinstance(plain, dict)
    return plain
