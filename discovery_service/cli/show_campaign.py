"""Campaigns and their events as people read them."""

import json
from collections.abc import Iterable

import typer

from discovery_service.cli.figures import tell_setting
from discovery_service.cli.output import print_fields, print_table, printable, shown
from discovery_service.cli.progress import tell_progress
from discovery_service.client import (
    Campaign,
    CampaignSpec,
    Event,
    Finalist,
    Freeze,
    Proposer,
    Standing,
    Standings,
)


def print_campaigns(campaigns: Iterable[Campaign]) -> None:
    print_table(
        ("id", "name", "status", "arena", "candidates", "created"),
        ((each.id, each.name, each.status, each.spec.arena, _candidates(each), each.created_at) for each in campaigns),
    )


def print_campaign(campaign: Campaign) -> None:
    progress, spec = campaign.progress, campaign.spec
    reason = f" ({campaign.status_reason})" if campaign.status_reason else ""
    print_fields(
        [
            ("name", campaign.name),
            ("status", f"{campaign.status}{reason}"),
            ("id", campaign.id),
            ("spec", spec_in_short(spec)),
            ("budgets", _budgets(spec)),
            ("guidance", spec.guidance),
            ("notes", campaign.notes),
            ("rounds", f"{progress.rounds_closed} closed"),
            ("extended", f"{campaign.extension} times" if campaign.extension else None),
            *tell_progress(campaign),
            ("cloned from", campaign.cloned_from),
            ("created", campaign.created_at),
            ("started", campaign.started_at),
            ("finished", campaign.finished_at),
            ("archived", campaign.archived_at),
        ]
    )


def print_event(event: Event) -> None:
    """One line, which is there as soon as the event is."""
    subject = "" if event.subject_id in (None, event.campaign_id) else f" {event.subject_id}"
    facts = "".join(f" {key}={_fact(value)}" for key, value in event.payload.items())
    typer.echo(printable(f"{shown(event.created_at)}  {event.kind}{subject}{facts}"))


def print_standings(found: Standings) -> None:
    """The screen has no verdict: what it shows may be luck."""
    columns = ("name", "author", "arena", "setting", "draws", f"difference to {found.against}")
    spare = ("author", "setting", "draws")
    typer.echo(f"Screened: {len(found.screen)}")
    print_table((*columns, "95 % interval"), map(_standing, found.screen), spare=spare)
    for freeze in found.freezes:
        names = ", ".join(_finalist(each, freeze) for each in freeze.finalists)
        sealed = f"sealed {shown(freeze.sealed_at)}" if freeze.sealed_at else "not sealed yet"
        extended = f", extension {freeze.extension}" if freeze.extension else ""
        where = f"{freeze.arena}{extended}, {sealed}"
        typer.echo(printable(f"\nFrozen in {where}: {names}; {freeze.plan.get('draws')} draws"))
    typer.echo(f"\nConfirmed: {len(found.confirm)}")
    confirmed = ((*_standing(each), each.verdict) for each in found.confirm)
    print_table((*columns, "interval", "verdict"), confirmed, spare=spare)


def _finalist(finalist: Finalist, freeze: Freeze) -> str:
    """With its setting where it is frozen at several."""
    is_one = sum(each.candidate_id == finalist.candidate_id for each in freeze.finalists) == 1
    return f"{finalist.name} ({finalist.role}{'' if is_one else f' at {tell_setting(finalist.setting)}'})"


def _standing(standing: Standing) -> tuple[object, ...]:
    interval = "" if standing.lower is None else f"[{standing.lower:.3g}, {standing.upper:.3g}]"
    return (
        *(standing.name, standing.author),
        f"{standing.arena}, extension {standing.extension}" if standing.extension else standing.arena,
        tell_setting(standing.setting),
        standing.draws,
        # No number without its interval.
        f"{standing.difference:.3g}" if interval and standing.difference is not None else None,
        interval,
    )


def spec_in_short(spec: CampaignSpec) -> str:
    held_out = f", held out {', '.join(spec.held_out_arenas)}" if spec.held_out_arenas else ""
    library = "all known losses" if spec.library == "all" else ", ".join(spec.library)
    strategy = f"{spec.strategy.name}, rounds of {spec.strategy.round_size}"
    proposers = ", ".join(_proposer(each) for each in spec.proposers)
    return f"{spec.family} in {spec.arena}{held_out}; {strategy}; by {proposers}; against {library}; seed {spec.seed}"


def _proposer(proposer: Proposer) -> str:
    models = ", ".join(each.model for each in proposer.models)
    return f"{proposer.kind} ({models})" if models else proposer.kind


def _candidates(campaign: Campaign) -> str:
    budget = campaign.spec.budgets.candidates
    return f"{campaign.spend.candidates.spent:.0f}/{budget}"


def _budgets(spec: CampaignSpec) -> str:
    return ", ".join(f"{name}={value}" for name, value in spec.budgets.model_dump().items() if value is not None)


def _fact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
