"""The commands of workers, and those that need torch and no server; they join the CLI through its entry-point group.

What they run is imported when they run: every `discovery` command loads this module.
"""

from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from discovery_service.cli.exits import ExitCode
from discovery_service.cli.hyperparameters import Given, read_given
from discovery_service.cli.output import AsJson, print_json, print_line, print_table, printable, say
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from workers import arena_cli, replay_cli, reproduce_cli
from workers.kinds import WorkerKind

GATE_EXITS = {"accepted": ExitCode.OK, "refused": ExitCode.REFUSED, "unavailable": ExitCode.JAIL_UNAVAILABLE}
COMPARE_EXITS = {**GATE_EXITS, "compared": ExitCode.OK, "failed": ExitCode.ERROR, "crashed": ExitCode.ERROR}
TRY_EXITS = {**GATE_EXITS, "tried": ExitCode.OK, "failed": ExitCode.ERROR}
EVALUATE_EXITS = {**GATE_EXITS, "measured": ExitCode.OK, "failed": ExitCode.ERROR}


def _above_0_to(most: int) -> Callable[[list[float] | None], list[float] | None]:
    """As the file of an arena bounds it; typer's own bounds let through what is no number."""

    def check(values: list[float] | None) -> list[float] | None:
        for value in values or ():
            if not 0 < value <= most:
                raise typer.BadParameter(f"{value:g} is not above 0 and at most {most}.")
        return values

    return check


def worker(
    kind: Annotated[WorkerKind, typer.Argument(help="Which queue to work on.")],
    name: Annotated[
        str | None,
        typer.Option(help="Name of this worker, one of its own for each; KIND@HOST unless given."),
    ] = None,
) -> None:
    """Take work of one kind from its queue until stopped."""
    from workers.start import run_worker

    raise typer.Exit(run_worker(kind, name))


def beat() -> None:
    """Send the periodic tasks. One is enough; a second one does no harm."""
    from discovery_service.logs import configure_logs
    from discovery_service.settings import get_settings
    from workers.celery_app import make_app

    settings = get_settings()
    configure_logs(settings.log)
    make_app(settings).Beat(quiet=True, loglevel=settings.log.level).run()


def recorded(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of 127.0.0.1 to listen on, 0 takes a free one.")
    ] = 8021,
) -> None:
    """Serve recorded replies of a language model on this machine until stopped. `discovery up` does so by itself."""
    from workers.llm.recorded import RecordedServer

    with RecordedServer(port) as server, suppress(KeyboardInterrupt):
        typer.echo(f"recorded replies at {server.url}")
        server.serve_forever()


def gate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A source in Python, or - for what comes in.")],
    *,
    family: Annotated[Family, typer.Option(help="Whose inputs it may ask for.")] = Family.PAIRWISE,
    reply: Annotated[bool, typer.Option("--reply", help="The file is a language model's reply, not a source.")] = False,
    given: Given = None,
    as_json: AsJson = False,
) -> None:
    """Send a loss through the gate. Exit code 0 accepted, 5 refused, 4 when no jail can be locked here."""
    from workers.gate.command import judge_file, tell

    answer = judge_file(file, family, read_given(given), is_reply=reply)
    if as_json:
        print_json(answer)
    else:
        for line in tell(answer):
            print_line(line)
    raise typer.Exit(GATE_EXITS[answer["status"]])


def evaluate(
    source: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help="A source in Python, - for what comes in, or a known loss.")
    ],
    *,
    arena: Annotated[str, typer.Option(help="As `discovery arena list` shows it, or the file of one of your own.")],
    beta: Annotated[
        list[float] | None,
        typer.Option(callback=_above_0_to(1_000_000), help="Repeatable; the arena's own unless given."),
    ] = None,
    lr: Annotated[list[float] | None, typer.Option(callback=_above_0_to(1), help="Learning rate. Repeatable.")] = None,
    steps: Annotated[list[int] | None, typer.Option(min=1, max=100_000, help="Optimiser steps. Repeatable.")] = None,
    draws: Annotated[int, typer.Option(min=1, help="Of pairs, order and sampling; the same for every loss.")] = 1,
    base_policy: Annotated[int, typer.Option(min=0, help="Which of the arena's base policies, from 0 on.")] = 0,
    given: Given = None,
    as_json: AsJson = False,
) -> None:
    """Train with a loss and measure, in each combination of settings. Exit code 1 when one fails; else as `gate`."""
    from workers.arena_cli import find_base_policies, find_document
    from workers.evaluate.command import evaluate as run
    from workers.evaluate.command import make_settings

    document = find_document(arena)
    (policy,) = find_base_policies(document, [base_policy])
    settings = make_settings(document, beta or (), lr or (), steps or ())
    answer = run(source, document, policy, settings, draws, values=read_given(given))
    if as_json:
        print_json(answer)
    else:
        _tell_evaluation(answer)
    raise typer.Exit(EVALUATE_EXITS[answer["status"]])


def _tell_evaluation(answer: dict[str, Any]) -> None:
    from workers.evaluate.answer import name_settings, tabulate, tell_failures
    from workers.gate.command import tell

    if not answer["measurements"]:
        for line in tell({**answer["gate"], "graph_text": None}):
            typer.echo(line)
        return
    for sentence in tell_failures(answer["measurements"]):
        say(sentence)
    draws = max(each["draws"] for each in answer["summary"])
    if not draws:
        return
    print_table(*tabulate(answer))
    how = "means over draws with 95 % intervals" if draws > 1 else "of one draw, which says nothing of the next one"
    typer.echo(f"{answer['loss']} in {answer['arena']}, base policy {answer['base_policy']}: {how}.")
    if len(answer["summary"]) > 1 and answer["frontier"]:
        typer.echo(f"On the reward-KL frontier, from near to far: {name_settings(answer['frontier'])}.")


def compare(
    sources: Annotated[
        list[str], typer.Argument(metavar="NAME|FILE...", help="Known losses and sources in Python; one may be -.")
    ],
    *,
    arena: Annotated[str, typer.Option(help="As `discovery arena list` shows it, or the file of one of your own.")],
    against: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="What they are compared with; else their family's reference."),
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=1000,
            help="Draws to confirm on: a multiple of the base policies, 2 of each at least; 12 of 3 unless given.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one confirms on other draws.")] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the differences into a PNG.")] = None,
    given: Given = None,
    as_json: AsJson = False,
) -> None:
    """Tune losses with the same effort, then say on fresh draws which are better than another one.

    discovery compare ipo slic my_loss.py --arena terse --plot terse.png

    Exit code 1 when what they are compared with fails or a training crashes; else as `gate`. When one of them is
    refused, nothing is trained.
    """
    from workers.arena_cli import find_base_policies, find_document
    from workers.compare.command import compare as run
    from workers.compare.contest import find_place
    from workers.compare.plot import check_plot
    from workers.compare.plot import plot as draw

    if plot is not None:
        check_plot(plot)
    document = find_document(arena)
    place = find_place(document, find_base_policies(document, None), confirm, seed)
    answer = run(sources, against or REFERENCE_LOSSES[document["family"]], place, say, values=read_given(given))
    if as_json:
        print_json(answer)
    else:
        _tell_comparison(answer)
    if plot is not None and "claim" in answer:
        draw(answer, plot)
    raise typer.Exit(COMPARE_EXITS[answer["status"]])


def _tell_comparison(answer: dict[str, Any]) -> None:
    from workers.compare.sentences import tabulate, tell_losses
    from workers.gate.command import tell

    if answer["status"] == "crashed":
        say(answer["message"])
    elif "claim" not in answer:
        for loss in answer["losses"]:
            for line in tell({**loss["gate"], "name": loss["name"], "graph_text": None}):
                print_line(f"{loss['name']} {line}")
    else:
        print_table(*tabulate(answer))
        print_line("")
        for line in (*tell_losses(answer), answer["claim"]):
            print_line(printable(line))


def try_loss(
    loss: Annotated[
        str, typer.Argument(metavar="LOSS", help="An exported module, a source in Python, -, or a known loss.")
    ],
    *,
    model: Annotated[Path, typer.Option(metavar="DIR", help="A Hugging Face model with its tokenizer.")],
    data: Annotated[Path, typer.Option(metavar="FILE", help="JSONL of prompt, chosen and rejected, as TRL has it.")],
    beta: Annotated[
        list[float] | None,
        typer.Option(callback=_above_0_to(1_000_000), help="Repeatable; 0.03, 0.1 and 0.3 unless given."),
    ] = None,
    lr: Annotated[
        list[float] | None,
        typer.Option(callback=_above_0_to(1), help="Learning rate. Repeatable; 1e-6 and 1e-5, with --lora tenfold."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=100_000, help="Optimiser steps of each training.")] = 100,
    seeds: Annotated[int, typer.Option(min=2, max=100, help="Trainings of each loss that are reported.")] = 3,
    batch: Annotated[int, typer.Option(min=2, max=4096, help="Pairs a step.")] = 8,
    max_length: Annotated[int, typer.Option(min=2, help="Tokens of prompt and answer; longer is refused.")] = 1024,
    lora: Annotated[bool, typer.Option("--lora", help="Train an adapter instead of all weights.")] = False,
    given: Given = None,
    as_json: AsJson = False,
) -> None:
    """Train with a loss and with DPO in TRL on your own model and preferences, and compare what comes out.

    Both are tuned on the same grid with as many trainings, chosen by rows that are not reported on. Exit code 1 when
    one of them fails; else as `gate`.
    """
    from workers.trying.extra import check_extra

    check_extra(is_lora=lora)
    from workers.trying.command import Place
    from workers.trying.command import try_loss as run
    from workers.trying.contest import make_plan

    rates = lr or ((1e-5, 1e-4) if lora else (1e-6, 1e-5))
    plan = make_plan(beta or (0.03, 0.1, 0.3), rates, steps, seeds)
    answer = run(loss, Place(model, data, batch, max_length, lora), plan, say, values=read_given(given))
    if as_json:
        print_json(answer)
    else:
        _tell_trial(answer)
    raise typer.Exit(TRY_EXITS[answer["status"]])


def _tell_trial(answer: dict[str, Any]) -> None:
    from workers.gate.command import tell as tell_gate
    from workers.trying.sentences import tabulate, tell

    if "losses" not in answer:
        for line in tell_gate({**answer["gate"], "graph_text": None}):
            print_line(line)
        return
    print_table(*tabulate(answer))
    for line in tell(answer):
        print_line(printable(line))


def register(app: typer.Typer) -> None:
    """Add the commands, unless what workers execute is not installed, as in the API's image."""
    if find_spec("torch") is None:
        return
    app.command()(worker)
    app.command()(beat)
    app.command()(recorded)
    app.command()(gate)
    app.command()(evaluate)
    app.command()(compare)
    app.command("try")(try_loss)
    app.command()(replay_cli.replay)
    app.command()(reproduce_cli.reproduce)
    app.add_typer(arena_cli.group, name="arena")
