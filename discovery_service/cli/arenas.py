"""Arenas as people read them, and what of them only the API knows."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from discovery_service.cli.connection import connect, find_access
from discovery_service.cli.libraries import tabulate_library, tell_agreement, tell_library
from discovery_service.cli.output import as_plain, print_fields, print_table, printable, say
from discovery_service.client import DiscoveryError, NotFound
from discovery_service.domain.arenas import ARENAS, arena_names
from discovery_service.domain.campaign import tell_arenas
from discovery_service.domain.described_arenas import describe_built_in
from discovery_service.domain.worlds import ArenaSize
from discovery_service.errors import UsageError
from discovery_service.settings import get_settings

Described = dict[str, Any]


def list_arenas() -> list[Described]:
    """The built-in ones, which need no server; then an operator's, where an API is known that answers."""
    return [*filter(None, map(describe_built_in, arena_names())), *_list_operators()]


def _list_operators() -> Iterator[Described]:
    if find_access(get_settings()) is None:
        return
    try:
        with connect() as client:
            yield from (as_plain(each) for each in client.arenas.list() if describe_built_in(each.name) is None)
    except DiscoveryError as error:
        say(f"What operators registered is not listed: {error}")


def find_arena(name: str) -> Described:
    """By the name that a campaign would give it. UsageError when there is none."""
    built_in = describe_built_in(f"{name}:{ArenaSize.MINI}" if name in ARENAS else name)
    if built_in is not None:
        return built_in
    if find_access(get_settings()) is None:
        raise UsageError(f"{name} {tell_arenas(arena_names())}; no API is known that could have others.")
    try:
        with connect() as client:
            return as_plain(client.arenas.read(name))
    except NotFound as error:
        names = [each["name"] for each in list_arenas()]
        raise UsageError(f"{name} {tell_arenas(names)}.") from error


def register_arena(arena: Mapping[str, Any], contents: Mapping[str, Any]) -> Described:
    with connect() as client:
        return as_plain(client.arenas.create(arena=arena, contents=contents))


def send_calibration(calibration: Mapping[str, Any]) -> Described:
    """Of an operator's arena. UsageError where the file is no calibration."""
    if missing := {"name", "content_sha256", "library"} - calibration.keys():
        raise UsageError(f"This is no calibration: it has no {', '.join(sorted(missing))}.")
    with connect() as client:
        return as_plain(client.arenas.calibrate(**calibration))


def print_arenas(arenas: list[Described]) -> None:
    print_table(
        ("name", "family", "offers", "counts", "what it is"),
        ((each["name"], each["family"], _offers(each), each["counts"], each["summary"]) for each in arenas),
    )


def print_arena(arena: Described) -> None:
    print_fields(
        [
            ("name", arena["name"]),
            ("what it is", arena["summary"]),
            ("family", arena["family"]),
            ("offers", _offers(arena)),
            ("reward", arena["reward"]),
            ("counts", arena["counts"]),
            ("content", arena["content_sha256"]),
            *_parameters(arena["document"]),
        ]
    )
    if arena["calibration"]:
        print_calibration(arena["calibration"])


def print_calibration(calibration: Mapping[str, Any]) -> None:
    """All that is known of an arena by measuring."""
    if calibration.get("base_policies"):
        _print_figures(calibration["name"], calibration["base_policies"])
    if calibration.get("library"):
        print_table(*tabulate_library(calibration["library"]))
        for sentence in tell_library(calibration["library"]):
            typer.echo(printable(sentence))
    if calibration.get("agreement"):
        typer.echo(printable(tell_agreement(calibration["agreement"])))


def _print_figures(name: str, policies: Mapping[str, Mapping[str, Any]]) -> None:
    """With standard errors."""
    measured = [(f"{name} {number}", figures) for number, figures in sorted(policies.items())]
    print_table(
        ("base policy", "J of itself", "J at best", "sd of repeats", "training s", "measuring s"),
        (
            (
                name,
                f"{each['j_ref']:.3f} ± {each['j_ref_se']:.3f}",
                f"{each['j_best']:.3f} ± {each['j_best_se']:.3f}",
                None if each.get("repeat_sd") is None else f"{each['repeat_sd']:.3f} ± {each['repeat_sd_se']:.3f}",
                each.get("training_s"),
                each.get("measuring_s"),
            )
            for name, each in measured
        ),
    )


def _offers(arena: Described) -> str:
    if not arena["offers"]:
        return "nobody knows" if arena["offers"] is None and not arena["is_control"] else "nothing: a control"
    return ", ".join(arena["offers"]) + ", but to no known loss: a control" * bool(arena["is_control"])


def _parameters(document: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for part, value in document.items():
        if isinstance(value, Mapping):
            yield part, ", ".join(f"{name} {each}" for name, each in value.items() if each not in (None, 0, False))
        elif part == "models":
            yield part, ", ".join(model["path"] for model in value)
