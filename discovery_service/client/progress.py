"""How far a campaign is, in a line: what happened, what is spent, the best so far, and about when it ends."""

from discovery_service.client.models import Best, Campaign, Event

_MILESTONES = ("campaign.", "round.opened", "round.closed", "search.over", "freeze.sealed")


def is_milestone(event: Event) -> bool:
    """A round opens or closes, a stage is reached, or the campaign moves; the rest is hundreds of lines."""
    return event.kind.startswith(_MILESTONES)


def tell_milestone(event: Event, campaign: Campaign) -> str:
    best = f"; best so far {tell_best(campaign.best)}" if campaign.best else ""
    seconds = None if campaign.forecast is None else campaign.forecast.seconds
    end = "" if seconds is None else f"; ends in about {tell_time(seconds)}"
    spent = campaign.spend
    so_far = f"{tell_time(spent.wall_time_s.spent)}, {spent.evaluations.spent:.0f} evaluations"
    return f"[{so_far}] {tell_event(event)}{best}{end}"


def tell_event(event: Event) -> str:
    """Short, without ids."""
    shown = {
        key: ", ".join(value) if key == "names" else value
        for key, value in event.payload.items()
        if key == "names" or (isinstance(value, str | int | float) and value != "")
    }
    facts = ", ".join(f"{key} {value}" for key, value in shown.items())
    return f"{event.kind}{f': {facts}' if facts else ''}"


def tell_best(best: Best) -> str:
    """With what the figure is worth: one that was chosen for being the highest of its screen is too high."""
    difference = f"{best.difference:+.3f} [{best.lower:+.3f}, {best.upper:+.3f}]"
    said = f"confirmed: {best.verdict} {best.against}" if best.verdict else "screened, which confirms nothing"
    return f"{best.name} ({best.author}): {difference} less {best.against}; {said}"


def tell_time(seconds: float) -> str:
    """As `1:05` or `2:01:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
