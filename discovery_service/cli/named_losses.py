"""Which loss somebody at the terminal means: by its id, or within a campaign by its name."""

from collections.abc import Iterable
from uuid import UUID

from discovery_service.client import Client
from discovery_service.errors import UsageError


def find_loss(client: Client, campaign: UUID | None, told: str) -> UUID:
    if campaign is None:
        try:
            return UUID(told)
        except ValueError as error:
            raise UsageError(f"{told} is no id of a loss; a name needs the --campaign that it is of.") from error
    rows = client.campaigns.leaderboard(campaign).rows
    found = [row.candidate_id for row in rows if told in (row.name, str(row.candidate_id))]
    if len(found) > 1:
        raise UsageError(f"Several losses of this campaign are called {told}: take one by its id: {_list(found)}.")
    if not found:
        names = _list(row.name for row in rows) or "none yet"
        raise UsageError(f"No accepted loss of this campaign is called {told}; there are {names}.")
    return found[0]


def _list(each: Iterable[object]) -> str:
    return ", ".join(map(str, each))
