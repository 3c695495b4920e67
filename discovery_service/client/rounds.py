"""Rounds and proposals of the API, a method an operation."""

from collections.abc import Iterator
from uuid import UUID, uuid4

from discovery_service.client.models import Page
from discovery_service.client.round_models import Proposal, Round, RoundDetail
from discovery_service.client.transport import Transport

Id = UUID | str
PAGE_SIZE = 100


class Rounds:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        campaign_id: Id,
        *,
        size: int | None = None,
        proposer: str | None = None,
        guidance: str | None = None,
        idempotency_key: str | None = None,
    ) -> Round:
        """The next round as you want it; what is None is as in the campaign's spec."""
        given = {"size": size, "proposer": proposer, "guidance": guidance}
        body = {name: value for name, value in given.items() if value is not None}
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        return self._transport.ask(Round, "POST", _path(campaign_id), json=body, headers=headers)

    def list(self, campaign_id: Id, *, after: Id | None = None, limit: int = PAGE_SIZE) -> Iterator[Round]:
        """All of them, the library's first; `limit` is how many come with one request."""
        params = {"after": after and str(after), "limit": limit}
        return self._transport.pages(Page[Round], _path(campaign_id), params)

    def read(self, round_id: Id) -> RoundDetail:
        """With its proposals, the exchanges and candidates of each, and their trainings."""
        return self._transport.ask(RoundDetail, "GET", f"/v1/rounds/{UUID(str(round_id))}")


class Proposals:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def read(self, proposal_id: Id) -> Proposal:
        return self._transport.ask(Proposal, "GET", f"/v1/proposals/{UUID(str(proposal_id))}")


def _path(campaign_id: Id) -> str:
    return f"/v1/campaigns/{UUID(str(campaign_id))}/rounds"
