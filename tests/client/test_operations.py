"""The SDK keeps up with the API's OpenAPI document."""

import inspect
import subprocess
import sys
from typing import Any

import pytest

from discovery_service.api import create_app
from discovery_service.client import Client
from tests.api.serving import api_settings

# Nothing is sent to either.
DOCUMENT = create_app(api_settings("postgresql://nobody@nowhere/none", "redis://nowhere")).openapi()
OPERATIONS = {operation["operationId"]: operation for path in DOCUMENT["paths"].values() for operation in path.values()}


def method_of(operation_id: str) -> Any:
    resource, _, name = operation_id.partition("_")
    with Client("http://nowhere", "dls_none") as client:
        return getattr(getattr(client, resource), name)


def fields_of(operation: dict[str, Any]) -> set[str]:
    """What a caller may say: in the path, the query and the body."""
    names = {each["name"] for each in operation.get("parameters", []) if each["in"] != "header"}
    if "requestBody" in operation:
        ref = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        names |= DOCUMENT["components"]["schemas"][ref.rpartition("/")[2]]["properties"].keys()
    return names


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_every_operation_has_a_method_that_takes_all_its_fields(operation_id: str) -> None:
    parameters = inspect.signature(method_of(operation_id)).parameters
    assert fields_of(OPERATIONS[operation_id]) <= parameters.keys()


def test_the_client_needs_nothing_else_of_the_package() -> None:
    code = "import sys, discovery_service.client; print(*(n for n in sys.modules if n.startswith('discovery_service')))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name.startswith("discovery_service.client") for name in ran.stdout.split()[1:])
