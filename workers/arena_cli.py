"""`discovery arena …`: where losses are compared; what is built in is shown, built and calibrated without a server.

What the commands run is imported when they run: every `discovery` command loads this module.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discovery_service.cli.output import AsJson, print_json, print_table
from discovery_service.domain.arenas import ARENAS, ArenaKind, list_base_policies
from discovery_service.domain.described_arenas import describe_operators
from discovery_service.domain.families import Family
from discovery_service.domain.published import published_path
from discovery_service.domain.states import Purpose
from discovery_service.errors import UsageError

if TYPE_CHECKING:
    import torch

    from workers.arenas.hf.registration import Prepared

GIB = 1 << 30
DAY_S = 86_400

group = typer.Typer(no_args_is_help=True, help="Show, register, build and calibrate where losses are compared.")

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME[:SIZE]]...", help="Without a size both. All built-in ones unless given."),
]
BasePolicies = Annotated[
    list[int] | None, typer.Option("--base-policy", min=0, help="From 0 on. Repeatable; all unless given.")
]


@group.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List the built-in arenas, and an operator's where an API is known."""
    from discovery_service.cli.arenas import list_arenas, print_arenas

    arenas = list_arenas()
    if as_json:
        print_json(arenas)
    else:
        print_arenas(arenas)


@group.command()
def show(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME[:SIZE]|FILE", help="As `discovery arena list` shows it, or the file of your own."),
    ],
    *,
    rows: Annotated[int, typer.Option(min=0, max=1000, help="How many sample rows of a built-in one.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show an arena: its parameters, what is known of it, and a few of its texts with their reward."""
    from discovery_service.cli.arenas import find_arena, print_arena

    arena = describe_operators(prepare_file(Path(name)).document) if _is_file(name) else find_arena(name)
    shown = _show_rows(arena["document"], rows) if rows and arena["kind"] == ArenaKind.SYNTHETIC else []
    if as_json:
        print_json(arena | {"rows": shown})
        return
    print_arena(arena)
    if shown:
        is_spoken = arena["family"] == Family.MATCHING
        what = "Answers, those first that its base policy gives most often" if is_spoken else "Rows to train on"
        typer.echo(f"\n{what}, with the reward of each answer:")
        columns = (each.replace("_", " ") for each in shown[0])
        print_table(tuple(columns), (tuple(map(_tell, row.values())) for row in shown))


@group.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON; the paths in it begin beside it.")],
    as_json: AsJson = False,
) -> None:
    """Register an arena of your models and preferences. Every row and the scorer are looked at first."""
    from discovery_service.cli.arenas import register_arena

    prepared = prepare_file(file)
    described = prepared.arena.model_dump(mode="json", exclude_unset=True)
    arena = register_arena(described, prepared.contents.model_dump(mode="json"))
    if as_json:
        print_json(arena | {"rows": prepared.rows})
    else:
        typer.echo(f"{arena['name']} has {prepared.rows} rows and counts {arena['counts']}; campaigns may name it now.")


@group.command()
def build(
    names: Names = None,
    *,
    base_policy: BasePolicies = None,
    purpose: Annotated[Purpose, typer.Option(help="What the draws are for.")] = Purpose.TUNE,
    draws: Annotated[int, typer.Option(min=1, help="How many of them, from 0 on.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Make what trainings begin with, so that they find it in the cache."""
    from discovery_service.settings import get_settings
    from workers.arenas.building import build as make
    from workers.arenas.building import plan
    from workers.progress import progress_bar

    documents = _find_documents(names)
    artefacts = [
        each
        for document in documents
        for each in plan(document, find_base_policies(document, base_policy), purpose, draws)
    ]
    built = []
    with progress_bar(len(artefacts)) as tell:
        for artefact in make(artefacts, _prepare_device(), get_settings().arena_cache):
            built.append(artefact.describe())
            tell(built[-1]["arena"], len(built))
    if as_json:
        print_json(built)
    else:
        typer.echo(f"{len(built)} draws of {len(documents)} arenas are in {get_settings().arena_cache}.")


@group.command()
def calibrate(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME[:SIZE]|FILE]...", help="Without a size both. All built-in ones unless given."),
    ] = None,
    *,
    loss: Annotated[
        list[str] | None,
        typer.Option(help="Of the library; repeatable. Else at size mini all, elsewhere ten of them."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what has been measured already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure what an arena can tell apart: its noise, and the tuned library on fresh draws.

    Of a built-in one also optimum and cost; its figures stay in the package. Those of your own arena are written beside
    its file, as NAME.calibration.json: `discovery arena import` sends them to the API. Minutes of a core at size mini,
    an hour and more elsewhere.
    """
    from discovery_service.cli.arenas import print_calibration
    from discovery_service.cli.output import say
    from workers.trainings import TrainingsBroke

    _prepare_device("cpu")
    found, broke = [], None
    try:
        for each in _calibrate(names or (), loss or (), say, again=again):
            found.append(each)
    except TrainingsBroke as error:
        broke = error
    if as_json:
        print_json(found)
    else:
        for each in found:
            print_calibration(each)
    if broke is not None:
        say(str(broke))
        raise typer.Exit(1)


@group.command("import")
def import_calibration(
    file: Annotated[Path, typer.Argument(help="What `discovery arena calibrate` wrote beside the arena's file.")],
    as_json: AsJson = False,
) -> None:
    """Send the calibration of an arena of your own to the API, where campaigns in that very arena use it."""
    from discovery_service.cli.arenas import send_calibration
    from discovery_service.cli.spec_file import read_mapping

    calibration = read_mapping(file, "calibration", "name, content_sha256 and library")
    arena = send_calibration(calibration)
    if as_json:
        print_json(arena)
    else:
        typer.echo(f"{arena['name']} is calibrated.")


@group.command()
def prune(
    *,
    keep_gib: Annotated[float | None, typer.Option(min=0, help="Keep so much of what was used last.")] = None,
    unused_days: Annotated[float | None, typer.Option(min=0, help="Only what nobody used for so long.")] = None,
    as_json: AsJson = False,
) -> None:
    """Delete what was built: all of it, unless an option says what stays. It is made anew when it is wanted."""
    from discovery_service.settings import get_settings
    from workers.arenas.cache import Cache

    is_by_age_alone = keep_gib is None and unused_days is not None
    keep_bytes = float("inf") if is_by_age_alone else (keep_gib or 0) * GIB
    since = float("-inf") if unused_days is None else time.time() - unused_days * DAY_S
    pruned = Cache(get_settings().arena_cache).prune(keep_bytes, used_since=since)
    if as_json:
        print_json(asdict(pruned))
    else:
        freed, kept = pruned.freed_bytes / GIB, pruned.kept_bytes / GIB
        typer.echo(f"{pruned.files} files are deleted, {freed:.2f} GiB; {kept:.2f} GiB stay.")


def find_document(arena: str) -> dict[str, Any]:
    """Of a name that `discovery arena list` shows, or of an operator's file, which needs no server."""
    from discovery_service.cli.arenas import find_arena

    if _is_file(arena):
        return prepare_file(Path(arena)).document
    document: dict[str, Any] = find_arena(arena)["document"]
    return document


def find_base_policies(document: dict[str, Any], wanted: list[int] | None) -> list[int]:
    """All of the arena unless some are wanted. UsageError for one that it has not."""
    there_are = list(list_base_policies(document))
    if missing := sorted(set(wanted or ()) - set(there_are)):
        raise UsageError(f"{document['name']} has no base policy {missing[0]}; there are {there_are}.")
    return wanted or there_are


def prepare_file(file: Path) -> "Prepared":
    """An operator's arena as the file describes it. UsageError says what is wrong with it."""
    from discovery_service.cli.spec_file import read_mapping
    from workers.arenas.hf.registration import prepare

    return prepare(read_mapping(file, "arena", "name, model_name_or_path, data and others"), file)


def _is_file(arena: str) -> bool:
    return Path(arena).suffix in (".yaml", ".yml", ".json")


def _find_documents(names: list[str] | None) -> list[dict[str, Any]]:
    built_in = [f"{name}:{size}" for name in names or ARENAS if name in ARENAS for size in ARENAS[name].recipes]
    return [find_document(name) for name in (*built_in, *(name for name in names or () if name not in ARENAS))]


def _calibrate(
    names: Sequence[str], wanted: Sequence[str], say: Callable[[str], None], *, again: bool
) -> Iterator[dict[str, Any]]:
    """Each as soon as it is. Whatever can be refused is, before anything is trained. Raises TrainingsBroke."""
    from workers.calibrate.command import calibrate_built_in, calibrate_operators, choose_losses, find_written

    files, built_in = (
        [Path(each) for each in names if _is_file(each)],
        [each for each in names if not _is_file(each)],
    )
    documents = [] if files and not built_in else _find_documents(built_in)
    for document in documents:
        _check_built_in(document)
    if documents and not os.access(published_path().parent, os.W_OK):
        raise UsageError(f"The figures are kept in {published_path()}, where nothing can be written.")
    for file in files:
        written = find_written(file)
        if not os.access(written if written.exists() else written.absolute().parent, os.W_OK):
            raise UsageError(f"The figures are kept in {written}, where nothing can be written.")
    operators = [(prepare_file(file).document, file) for file in files]
    for document in (*documents, *(each for each, _ in operators)):
        choose_losses(document, wanted)
    for document, file in operators:
        yield calibrate_operators(document, wanted, file, say)
    yield from calibrate_built_in(documents, wanted, say, again=again)


def _check_built_in(document: dict[str, Any]) -> None:
    if document["kind"] != ArenaKind.SYNTHETIC:
        raise UsageError(f"{document['name']} is an arena of your own: name its file, beside which figures are kept.")


def _prepare_device(name: str | None = None) -> "torch.device":
    """The given one, or the first that trainings run on here."""
    from discovery_service.settings import MachineSettings, get_settings
    from workers.arenas.building import compute_as_a_runtime
    from workers.supervisor.devices import assign_devices

    return compute_as_a_runtime(name or assign_devices(get_settings().worker, MachineSettings())[0].name)


def _show_rows(document: dict[str, Any], count: int) -> list[dict[str, Any]]:
    from discovery_service.settings import get_settings
    from workers.arenas.samples import show_rows

    _prepare_device("cpu")
    return show_rows(document, count, get_settings().arena_cache)


def _tell(value: Any) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value
