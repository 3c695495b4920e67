"""Follows a campaign by its events: a live view on a terminal, a line for each event elsewhere."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from discovery_service.cli.output import printable
from discovery_service.cli.progress import find_share, list_stages, tell_spend
from discovery_service.client import Campaign, Client, Event
from discovery_service.client.progress import is_milestone, tell_best, tell_event, tell_milestone, tell_time

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# A training ends every second or so, and each look is a request.
LOOK_EVERY_S = 1.0
_QUIET = ("evaluation.", "exchange.queued", "exchange.asking", "candidate.gating", "candidate.proposed")
"""Events of which there are hundreds: the figures tell of them."""

OnEvent = Callable[[Event], object]


class Paused(Exception):
    """The campaign is paused, so that nothing more comes before somebody resumes it."""


def watch_live(client: Client, campaign_id: UUID, console: "Console", *, on_event: OnEvent | None = None) -> Campaign:
    """Until the campaign has ended. `on_event` is told of each event too, and may raise."""
    from rich.live import Live

    view = View(client.campaigns.read(campaign_id))
    with Live(view.render(), console=console, refresh_per_second=4, transient=True) as live:

        def look(event: Event) -> None:
            if on_event is not None:
                on_event(event)
            if view.hear(event, lambda: client.campaigns.read(campaign_id)):
                live.update(view.render())

        return client.campaigns.wait(campaign_id, on_event=look)


def raise_when_paused(event: Event) -> None:
    if event.kind == "campaign.paused":
        raise Paused


class View:
    """What is shown of a campaign while it runs."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._looked_at = time.monotonic()
        self._last = ""

    def hear(self, event: Event, read: Callable[[], Campaign]) -> bool:
        """Whether there is something new to show; the campaign is read again at most once a second, or when it moves:
        behind a pause nothing more may come.
        """
        is_said = not event.kind.startswith(_QUIET)
        if is_said:
            self._last = tell_event(event)
        if not event.kind.startswith("campaign.") and time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return is_said
        self._campaign, self._looked_at = read(), time.monotonic()
        return True

    def render(self) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        campaign, share = self._campaign, find_share(self._campaign)
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("stage", self._stages())
        table.add_row("best so far", Text(printable(tell_best(campaign.best)) if campaign.best else "none yet"))
        table.add_row("spent", Text("; ".join(tell_spend(campaign.spend))))
        table.add_row("ends in", Text(self._end()))
        table.add_row("last", Text(printable(self._last)))
        bar = ProgressBar(total=1.0, completed=share or 0.0, pulse=share is None, width=60)
        return Group(Text(printable(f"{campaign.name}, {campaign.status}"), style="bold"), bar, table)

    def _stages(self) -> Any:
        from rich.text import Text

        styles = {True: "green", None: "bold reverse", False: "dim"}
        parts = ((f" {stage} ", styles[is_past]) for stage, is_past in list_stages(self._campaign))
        return Text(" ").join(Text(*part) for part in parts)

    def _end(self) -> str:
        forecast = self._campaign.forecast
        if forecast is None:
            return ""
        return forecast.rests_on if forecast.seconds is None else f"about {tell_time(forecast.seconds)}"


class Milestones:
    """Where there is no terminal: a line where a round opens or closes, a stage is reached, or the campaign moves."""

    def __init__(self, read: Callable[[], Campaign], tell: Callable[[str], object]) -> None:
        self._read, self._tell = read, tell

    def hear(self, event: Event) -> None:
        raise_when_paused(event)
        if is_milestone(event):
            self._tell(tell_milestone(event, self._read()))
