"""The API's page in the documentation, written from its OpenAPI document: `make openapi` stores both."""

from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]

_HEAD = """# The API

Written from the OpenAPI document by `make openapi`; `/openapi.json` of a running service has it whole, with an example
for every object. Everything but `/healthz` and `/readyz` wants `Authorization: Bearer dls_…`. Errors are problem
documents (RFC 9457). The SDK has a method for each operation: `campaigns_create` is `client.campaigns.create`.
"""


def write_reference(document: Document) -> str:
    parts = [_HEAD]
    for tag in document["tags"]:
        parts.append(f"\n## {tag['name'].capitalize()}\n\n{tag['description']}\n")
        for path, method, operation in _list_operations(document, tag["name"]):
            parts.append(
                f"\n### `{method} {path}`\n\n`{operation['operationId']}`. {_join(operation['description'])}\n"
            )
            rows = [*_list_parameters(operation), *_list_fields(operation, document)]
            if rows:
                parts.append("\n| | | |\n|---|---|---|\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows))
            parts.append(f"\nAnswers: {', '.join(_list_answers(operation))}.\n")
    return "".join(parts)


def _list_operations(document: Document, tag: str) -> Iterator[tuple[str, str, Document]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation["tags"][0] == tag:
                yield path, method.upper(), operation


def _list_parameters(operation: Document) -> Iterator[tuple[str, str, str]]:
    for each in operation.get("parameters", ()):
        if each["in"] != "path":
            yield f"`{each['name']}`", f"{each['in']}, {_tell_type(each['schema'])}", _join(each.get("description", ""))


def _list_fields(operation: Document, document: Document) -> Iterator[tuple[str, str, str]]:
    """Of the body: its own fields; what is within them says the document."""
    if "requestBody" not in operation:
        return
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    model = document["components"]["schemas"][_name(schema["$ref"])]
    for name, field in model["properties"].items():
        wanted = "" if name in model.get("required", ()) else ", optional"
        yield f"`{name}`", f"body, {_tell_type(field)}{wanted}", _join(field.get("description", ""))


def _list_answers(operation: Document) -> Iterator[str]:
    for status, answer in operation["responses"].items():
        media = answer.get("content", {})
        refs = [each["schema"]["$ref"] for each in media.values() if "$ref" in each.get("schema", {})]
        is_problem = list(media) == ["application/problem+json"]
        what = "" if is_problem or not media else f" {_name(refs[0]) if refs else ' or '.join(media)}"
        yield f"{status}{what}"


def _tell_type(schema: Document) -> str:
    if "$ref" in schema:
        return _name(schema["$ref"])
    if "anyOf" in schema:
        return " or ".join(_tell_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_tell_type(schema['items'])}"
    return str(schema.get("format") or schema.get("type", "anything"))


def _name(ref: str) -> str:
    return ref.rpartition("/")[2].replace("_", " ").strip()


def _join(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
