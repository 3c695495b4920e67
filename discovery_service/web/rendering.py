"""Renders templates; everything that is put into one is escaped."""

from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("discovery_service.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["time"] = _tell_time
    environment.filters["signed"] = lambda value: f"{value:+.3f}"
    return environment


def _tell_time(value: datetime | None) -> str:
    """Of the service's clock, which says so: a page without a script knows no other."""
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M UTC")
