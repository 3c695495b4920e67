"""What a candidate is compared with: its campaign's library, and the rounds of the snapshot that it was made from.

Never its own round, whoever is judged first: those twins are settled when the round closes. A closed round stays as it
is, so that this process fetches each once: 1,000 fingerprints are 22 MB in Postgres, and 44 MB here.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal
from uuid import UUID

import structlog

from discovery_service.db.queries import Fingerprint, list_fingerprints
from discovery_service.db.sessions import Sessions
from discovery_service.domain.families import Family
from discovery_service.losses.described import list_described
from discovery_service.losses.fingerprints import VERSION
from workers.gate.twins import Archive, read_fingerprint

log = structlog.get_logger(__name__)

MOST_CAMPAIGNS = 3
_LIBRARY = -1


@dataclass(frozen=True)
class Surroundings:
    """Of one candidate: what it is new beside."""

    campaign_id: UUID
    family: Family
    library: Literal["all"] | Collection[str]
    rounds: Collection[int]
    """Of its snapshot."""
    itself: str | None = None
    """Its name, if it is one of the library's."""


@cache
def library_archive(family: Family) -> Archive:
    described = list_described(family)
    return Archive(((name, each.fingerprint) for name, each in described.items()), is_library=True)


class _Known:
    """One campaign's, with where each loss is from: the number of a round, or the library."""

    def __init__(self, about: Surroundings) -> None:
        described = library_archive(about.family)
        chosen = [
            place for place, name in enumerate(described.names) if about.library == "all" or name in about.library
        ]
        self.archive = described.choose(chosen)
        self.origins = [_LIBRARY] * len(chosen)
        self.rounds: set[int] = set()

    def add(self, rounds: Collection[int], found: Collection[Fingerprint]) -> None:
        self.archive = Archive.join([self.archive, Archive((each.name, each.raw or b"") for each in found)])
        self.origins += [each.round for each in found]
        self.rounds |= set(rounds)

    def choose(self, about: Surroundings) -> Archive:
        wanted = {_LIBRARY, *about.rounds}
        chosen = [
            place
            for place, (origin, name) in enumerate(zip(self.origins, self.archive.names, strict=True))
            if origin in wanted and not (origin == _LIBRARY and name == about.itself)
        ]
        return self.archive if len(chosen) == len(self.origins) else self.archive.choose(chosen)


class CampaignArchives:
    """Those of the campaigns that were judged last."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._campaigns: OrderedDict[UUID, _Known] = OrderedDict()

    def get(self, about: Surroundings) -> Archive:
        known = self._campaigns.pop(about.campaign_id, None) or _Known(about)
        lacking = set(about.rounds) - known.rounds
        if lacking:
            with self._sessions() as session:
                found = list_fingerprints(session, about.campaign_id, lacking)
            known.add(lacking, list(_comparable(found, about)))
        self._campaigns[about.campaign_id] = known
        while len(self._campaigns) > MOST_CAMPAIGNS:
            self._campaigns.popitem(last=False)
        return known.choose(about)


def _comparable(found: Collection[Fingerprint], about: Surroundings) -> Iterator[Fingerprint]:
    """Without those of another version, and what is none: a campaign goes on without them."""
    for each in found:
        try:
            if each.version != VERSION or each.raw is None:
                raise ValueError(f"its fingerprint is of version {each.version}, here it is {VERSION}")
            read_fingerprint(each.raw, about.family)
        except ValueError as error:
            log.warning(
                "gate.fingerprint_skipped", campaign=str(about.campaign_id), candidate=each.name, reason=str(error)
            )
        else:
            yield each
