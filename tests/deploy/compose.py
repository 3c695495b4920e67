"""Reads the Compose file as `docker compose` would: variables filled in, each service with its command and checks."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.house.tree import REPOSITORY

COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
GPU_FILE = REPOSITORY / "docker-compose.gpu.yml"
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[?-])(?P<text>[^}]*))?\}")


@dataclass(frozen=True)
class Service:
    """A service that runs one of our own images."""

    name: str
    command: list[str]
    environment: dict[str, str]
    health_command: list[str] | None
    """None for the one that ends by itself."""
    stop_grace_s: float
    needs: tuple[str, ...]


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def services(variables: dict[str, str]) -> dict[str, Service]:
    """Our own services by name, in an order in which each can start."""
    ours = {name: spec for name, spec in load(COMPOSE_FILE)["services"].items() if "build" in spec}
    ordered: dict[str, Service] = {}
    while waiting := [name for name in ours if name not in ordered]:
        free = [name for name in waiting if not (set(ours[name].get("depends_on", {})) & set(waiting))]
        assert free, f"{waiting} wait for each other"
        ordered.update({name: _service(name, ours[name], variables) for name in free})
    return ordered


def _service(name: str, spec: dict[str, Any], variables: dict[str, str]) -> Service:
    given = {key: variables.get(key) if value is None else value for key, value in spec["environment"].items()}
    environment = {key: fill(value, variables) for key, value in given.items() if value is not None}
    grace = re.fullmatch(r"(\d+)s", spec.get("stop_grace_period", "10s"))
    assert grace, spec["stop_grace_period"]
    return Service(
        name=name,
        command=[fill(part, variables) for part in spec["command"]],
        environment=environment,
        health_command=_health_command(spec["healthcheck"]["test"]) if "healthcheck" in spec else None,
        stop_grace_s=float(grace[1]),
        needs=tuple(spec.get("depends_on", {})),
    )


def _health_command(test: list[str]) -> list[str]:
    form, *command = test
    return ["sh", "-c", *command] if form == "CMD-SHELL" else command


def fill(text: str, variables: dict[str, str]) -> str:
    """`${NAME}`, `${NAME:-default}` and `${NAME:?what is missing}` as Compose fills them in."""

    def value(match: re.Match[str]) -> str:
        if match["name"] in variables:
            return variables[match["name"]]
        if match["kind"] == "-":
            return match["text"]
        raise KeyError(match["text"] or match["name"])

    return VARIABLE.sub(value, text)
