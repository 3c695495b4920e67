"""`discovery campaign propose|order|rounds` and `discovery round`: what people put in, and what came of a round."""

import json
from itertools import islice
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from discovery_service.cli.connection import connect
from discovery_service.cli.hyperparameters import Given, read_given
from discovery_service.cli.output import AsJson, as_plain, print_fields, print_json, print_table, printable
from discovery_service.cli.spec_file import read_text
from discovery_service.client import Candidate, Exchange, Proposal, Round, RoundDetail
from discovery_service.losses.exported_source import take_loss

CampaignId = Annotated[UUID, typer.Argument(metavar="ID", help="As `discovery campaign list` shows it.")]


def propose(
    campaign_id: CampaignId,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A loss in Python, or an exported module; - reads standard input.")
    ],
    name: Annotated[str | None, typer.Option(help="Else that of the file's function.")] = None,
    notes: Annotated[str, typer.Option(help="What you thought; language models that see the loss read it.")] = "",
    given: Given = None,
    as_json: AsJson = False,
) -> None:
    """Propose a loss of your own: it has a place in the next round, and is judged and confirmed like any other."""
    source, values = take_loss(read_text(file)), read_given(given)
    with connect() as client:
        made = client.campaigns.propose(campaign_id, source=source, name=name, notes=notes, hyperparameters=values)
    if as_json:
        print_json(as_plain(made))
    else:
        typer.echo(printable(f"{made.request.get('name')} waits for round {made.round} ({made.round_id})."))


def order(
    campaign_id: CampaignId,
    size: Annotated[int | None, typer.Option(help="Its places; people's losses come first.")] = None,
    proposer: Annotated[str | None, typer.Option(help="Who alone proposes in it; one of the spec's.")] = None,
    guidance: Annotated[str | None, typer.Option(help="Instead of the campaign's in its prompts.")] = None,
    as_json: AsJson = False,
) -> None:
    """Have the next round as you want it; it opens in its turn, within the campaign's budgets."""
    with connect() as client:
        made = client.rounds.create(campaign_id, size=size, proposer=proposer, guidance=guidance)
    if as_json:
        print_json(as_plain(made))
    else:
        typer.echo(f"Round {made.number} ({made.id}) waits for its turn.")


def rounds(
    campaign_id: CampaignId,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List a campaign's rounds, the library's first."""
    with connect() as client:
        found = list(islice(client.rounds.list(campaign_id, limit=min(limit, 200)), limit))
    if as_json:
        print_json([as_plain(each) for each in found])
    else:
        columns = ("id", "round", "status", "by", "proposals", "sees", "stopped", "ordered", "closed")
        print_table(columns, map(_summary, found), spare=("ordered", "closed", "stopped"))


def show_round(
    round_id: Annotated[UUID, typer.Argument(metavar="ID", help="As `discovery campaign rounds` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Show one round: what was asked of whom, what was answered, and how its losses stand."""
    with connect() as client:
        found = client.rounds.read(round_id)
    if as_json:
        print_json(as_plain(found))
    else:
        _print_round(found)


def _summary(each: Round) -> tuple[object, ...]:
    ordered = each.ordered and json.dumps({name: value for name, value in each.ordered if value is not None})
    sees = ", ".join(map(str, each.snapshot_rounds))
    stopped = None if each.stopped_slots is None else len(each.stopped_slots)
    counts = (_tell(each.by_proposer), _tell(each.by_status))
    return each.id, each.number, each.status, *counts, sees, stopped, ordered, each.closed_at


def _tell(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _print_round(found: RoundDetail) -> None:
    print_fields([("round", found.number), ("status", found.status), ("id", found.id), ("closed", found.closed_at)])
    typer.echo()
    columns = ("slot", "by", "proposal", "turn", "asked", "tokens", "USD", "candidate", "gate", "screen", "verdict")
    stopped = found.stopped_slots or [] if found.number else []
    rows = [row for each in found.proposals for row in _list_turns(each, is_stopped=each.slot in stopped)]
    print_table(columns, rows, spare=("asked", "tokens", "USD", "turn"))
    for proposal in found.proposals:
        for candidate in proposal.candidates:
            if candidate.refusal:
                told = f"{proposal.slot}: {candidate.name} was refused: {candidate.refusal.get('message')}"
                typer.echo(printable(told))
        if proposal.status not in ("answered", "queued", "asking") and proposal.outcome:
            typer.echo(printable(f"{proposal.slot}: {proposal.status}: {proposal.outcome.get('message')}"))


def _list_turns(proposal: Proposal, *, is_stopped: bool) -> list[tuple[object, ...]]:
    exchanges = {each.turn: each for each in proposal.exchanges}
    candidates = {each.turn: each for each in proposal.candidates}
    turns = sorted(exchanges.keys() | candidates.keys()) or [0]
    return [_turn(proposal, turn, exchanges.get(turn), candidates.get(turn), is_stopped=is_stopped) for turn in turns]


def _turn(
    proposal: Proposal, turn: int, exchange: Exchange | None, candidate: Candidate | None, *, is_stopped: bool
) -> tuple[object, ...]:
    asked: tuple[object, ...] = (None, None, None)
    if exchange is not None:
        who = exchange.answered_by or exchange.model
        model = f" ({who})" if who else ""
        tokens = (exchange.tokens_in or 0) + (exchange.tokens_out or 0)
        asked = (f"{exchange.status}{model}", tokens or None, exchange.cost_usd or None)
    stands: tuple[object, ...] = (None, None, None, None)
    if candidate is not None:
        screen, confirm = candidate.screen, candidate.confirm
        # No number without its interval.
        interval = (
            f"{screen.difference:+.3f} [{screen.lower:+.3f}, {screen.upper:+.3f}]"
            if screen and screen.difference is not None and screen.lower is not None and screen.upper is not None
            else "stopped after its first tuning"
            if is_stopped and candidate.status == "accepted"
            else None
        )
        stands = (candidate.name, candidate.status, interval, confirm and confirm.verdict)
    return proposal.slot, proposal.proposer, proposal.status, turn, *asked, *stands
