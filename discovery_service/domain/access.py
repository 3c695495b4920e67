"""Who may do what: scopes of API keys, and the principal that a valid key makes of a request."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Scope(StrEnum):
    CAMPAIGNS_READ = "campaigns:read"
    CAMPAIGNS_WRITE = "campaigns:write"
    CANDIDATES_WRITE = "candidates:write"
    EXPORTS_READ = "exports:read"
    ADMIN = "admin"
    """Keys, fleet, arenas; includes all the others."""


@dataclass(frozen=True)
class Principal:
    api_key_id: UUID
    scopes: frozenset[str]

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes
