"""Campaigns in which nobody proposes, on a local stack of this command's own: known losses, tuned and screened.

Each figure goes the way of every campaign's: a row that waits, a message, a worker, a training, a row again.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from discovery_service.cli.own_stack import OwnStack
from discovery_service.cli.watch import Paused, raise_when_paused
from discovery_service.client import Campaign, Client, DiscoveryError, Event, Standing
from discovery_service.domain.arenas import find_arena
from discovery_service.domain.known_losses import REFERENCE_LOSSES

Screened = Mapping[str, Mapping[str, Mapping[str, float | None]]]
"""By loss and draw: what was measured of it at the setting that the arena's plan has chosen for it; nothing of a
training that failed by the loss's doing."""
_TRAINED = ("evaluation.succeeded", "evaluation.failed")


class NotScreened(DiscoveryError):
    """The campaign came to another end than it should. One sentence says why."""


class LibraryCampaigns:
    """The stack is started by the first campaign, and stopped and forgotten on leaving."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._client: Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client = None
        self._running.__exit__(kind, error, trace)

    def screen(self, arena: str, losses: Sequence[str], draws: int, tell: Callable[[float], None]) -> Screened:
        """These and their family's reference, on the screen draws of all campaigns, which no tuning has seen.

        `tell` hears which share is done. Raises NotScreened.
        """
        client = self._client or self._start()
        known = find_arena(arena)
        assert known is not None, "a reproduction names a built-in arena"
        library = list(dict.fromkeys((REFERENCE_LOSSES[known.family], *losses)))
        spec, expected = _plan(client, {"family": known.family.value, "arena": arena, "library": library}, draws)
        created = client.campaigns.create(name=f"known losses in {arena}", spec=spec)
        done = 0

        def hear(event: Event) -> None:
            nonlocal done
            raise_when_paused(event)
            if event.kind in _TRAINED:
                done += 1
                tell(min(1.0, done / expected))

        try:
            campaign = client.campaigns.wait(created.id, on_event=hear)
        except Paused:
            campaign = client.campaigns.read(created.id)
        if campaign.status != "completed":
            raise NotScreened(f"{campaign.name} is {campaign.status}: {campaign.status_reason}")
        return _read(client, campaign, library)

    def _start(self) -> Client:
        from discovery_service.local.address import find_address
        from discovery_service.local.state import find_api_access

        directory = self._running.enter_context(TemporaryDirectory(prefix="discovery.", ignore_cleanup_errors=True))
        address = find_address("127.0.0.1", 0)
        stack = self._running.enter_context(OwnStack(Path(directory), address.port))
        stack.wait_until(address.is_ready)
        access = find_api_access(Path(directory))
        assert access is not None, "the stack writes its key before the API starts"
        self._client = self._running.enter_context(Client(access.url, access.api_key))
        return self._client


def _plan(client: Client, asked: Mapping[str, Any], draws: int) -> tuple[dict[str, Any], int]:
    """With as many evaluations as the library takes, which are told too, and as an end keeps back, so that nobody has
    room to propose.
    """
    spec: dict[str, Any] = {
        **asked,
        "tuning": {"screen_draws": draws},
        "confirmation": {"finalists": 1, "min_draws": 9, "detect": 10.0},
        "budgets": {"candidates": 1},
    }
    planned = client.campaigns.plan(spec=spec).evaluations
    budgets = {"candidates": 1, "evaluations": planned.library + planned.confirmation}
    return {**spec, "budgets": budgets}, planned.library


def _read(client: Client, campaign: Campaign, library: Sequence[str]) -> Screened:
    standings = {each.name: each for each in client.campaigns.standings(campaign.id).screen}
    missing = [each for each in library if each not in standings]
    if missing:
        raise NotScreened(f"{campaign.name} has screened all but {', '.join(missing)}: {campaign.status_reason}")
    return {name: _read_draws(client, standings[name]) for name in library}


def _read_draws(client: Client, standing: Standing) -> dict[str, Mapping[str, float | None]]:
    found: dict[str, Mapping[str, float | None]] = {}
    for each in client.candidates.evaluations(standing.candidate_id, purpose=["screen"]):
        if each.metrics is None and each.failure is None:
            raise NotScreened(f"{standing.name} in {standing.arena}, draw {each.draw}: it is not measured")
        found[each.draw] = each.metrics or {}
    return found
