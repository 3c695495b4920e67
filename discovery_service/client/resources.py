"""The API's resources, one class each, one method an operation."""

import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from time import sleep
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx2

from discovery_service.client.board_models import Leaderboard, LeaderboardRow
from discovery_service.client.candidate_models import (
    CandidateCurve,
    CandidateDetail,
    CandidateGraph,
    CandidateSource,
    Frontier,
    Lineage,
)
from discovery_service.client.errors import Conflict, NotFound, Unavailable, UnexpectedAnswer
from discovery_service.client.models import (
    ENDED,
    ApiKey,
    Arena,
    Budgets,
    Campaign,
    CampaignSpec,
    Check,
    Evaluation,
    Event,
    Health,
    KnownLoss,
    Listed,
    LossFamily,
    Model,
    NewApiKey,
    Page,
    Readiness,
    Standings,
    Worker,
)
from discovery_service.client.progress import is_milestone, tell_milestone
from discovery_service.client.round_models import Plan, Proposal
from discovery_service.client.transport import Transport

Id = UUID | str
PAGE_SIZE = 100
BOARD_PAGE_SIZE = 200
EVALUATIONS_SIZE = 50
"""With their series, which are long."""

# The service sends a comment every 15 s; after three missing ones the connection is taken for dead.
STREAM_TIMEOUT = httpx2.Timeout(10.0, read=45.0)
# With the growing delays between them about a minute: longer than a restart of the service takes.
STREAM_RETRIES = 16
REOPEN_AFTER_S = 0.2

_LAST_WORDS = frozenset({*(f"campaign.{status}" for status in ENDED), "campaign.deleted"})


class Campaigns:
    def __init__(self, transport: Transport, events: "Events") -> None:
        self._transport = transport
        self._events = events

    def create(
        self, *, name: str, spec: CampaignSpec | Mapping[str, Any], notes: str = "", idempotency_key: str | None = None
    ) -> Campaign:
        """Start a campaign. A key of your own makes the call safe to repeat from another process too."""
        body = {"name": name, "notes": notes, "spec": _plain(spec)}
        return self._make("/v1/campaigns", body, idempotency_key)

    def list(
        self, *, status: Sequence[str] = (), archived: bool = False, after: Id | None = None, limit: int = PAGE_SIZE
    ) -> Iterator[Campaign]:
        """All of them, the newest first; `limit` is how many come with one request."""
        params = {"status": list(status), "archived": archived, "after": after and str(after), "limit": limit}
        return map(self._bind, self._transport.pages(Page[Campaign], "/v1/campaigns", params))

    def plan(self, *, spec: CampaignSpec | Mapping[str, Any]) -> Plan:
        """What such a campaign would take and find; nothing is created."""
        return self._transport.ask(Plan, "POST", "/v1/campaigns:plan", json={"spec": _plain(spec)})

    def read(self, campaign_id: Id) -> Campaign:
        return self._ask("GET", _path(campaign_id))

    def propose(
        self,
        campaign_id: Id,
        *,
        source: str,
        name: str | None = None,
        notes: str = "",
        hyperparameters: Mapping[str, float] | None = None,
        idempotency_key: str | None = None,
    ) -> Proposal:
        """A loss of your own, which has a place in the next round; `proposals.read` tells what became of it.

        `hyperparameters` has numbers for what the source leaves open.
        """
        sent = {"name": name, "source": source, "notes": notes, "hyperparameters": hyperparameters}
        body = {name: value for name, value in sent.items() if value is not None}
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        path = f"{_path(campaign_id)}/candidates"
        return self._transport.ask(Proposal, "POST", path, json=body, headers=headers)

    def standings(self, campaign_id: Id) -> Standings:
        """What the screen shows, what was frozen, and what was confirmed."""
        return self._transport.ask(Standings, "GET", f"{_path(campaign_id)}/standings")

    def leaderboard(
        self,
        campaign_id: Id,
        *,
        arena: str | None = None,
        stage: str | None = None,
        against: str | None = None,
        after: str | None = None,
        limit: int = BOARD_PAGE_SIZE,
    ) -> Leaderboard:
        """Each accepted loss by the lower bound of its difference to the reference; in a held-out arena where one is
        named.

        All of them, unless it is to begin behind the `next` of another board; `limit` is how many come with one
        request.
        """
        params = {"arena": arena, "stage": stage, "against": against, "after": after, "limit": limit}
        path = f"{_path(campaign_id)}/leaderboard"
        board = self._transport.ask(Leaderboard, "GET", path, params=params)
        rows, page = board.rows, board
        while page.has_more:
            page = self._transport.ask(Leaderboard, "GET", path, params={**params, "after": page.next})
            rows = [*rows, *page.rows]
        return board.model_copy(update={"rows": rows, "has_more": False, "next": None})

    def leaderboard_csv(
        self, campaign_id: Id, *, arena: str | None = None, stage: str | None = None, against: str | None = None
    ) -> str:
        """The same as a table for a spreadsheet, whole."""
        params = {"arena": arena, "stage": stage, "against": against}
        path, headers = f"{_path(campaign_id)}/leaderboard", {"Accept": "text/csv"}
        return self._transport.send("GET", path, params=params, headers=headers).text

    def export_best_module(self, campaign_id: Id, *, unconfirmed: bool = False) -> bytes:
        """The best confirmed discovery as one Python file; Conflict where there is none, unless `unconfirmed`."""
        params = {"unconfirmed": unconfirmed}
        return self._transport.send("GET", f"{_path(campaign_id)}/best/export/module", params=params).content

    def export_best_bundle(self, campaign_id: Id, *, unconfirmed: bool = False) -> bytes:
        """The same as a zip, with a trainer for TRL, a test of all of it, and where it comes from."""
        params = {"unconfirmed": unconfirmed}
        return self._transport.send("GET", f"{_path(campaign_id)}/best/export/bundle", params=params).content

    def edit(
        self,
        campaign_id: Id,
        *,
        name: str | None = None,
        notes: str | None = None,
        guidance: str | None = None,
        budgets: Budgets | Mapping[str, Any] | None = None,
    ) -> Campaign:
        """Change what may change while it runs; None leaves a field as it is. A budget of None is lifted."""
        fields = {"name": name, "notes": notes, "guidance": guidance, "budgets": budgets and _plain(budgets)}
        body = {field: value for field, value in fields.items() if value is not None}
        return self._ask("PATCH", _path(campaign_id), json=body)

    def pause(self, campaign_id: Id) -> Campaign:
        return self._command(campaign_id, "pause")

    def resume(self, campaign_id: Id) -> Campaign:
        return self._command(campaign_id, "resume")

    def cancel(self, campaign_id: Id) -> Campaign:
        return self._command(campaign_id, "cancel")

    def extend(
        self,
        campaign_id: Id,
        *,
        budgets: Budgets | Mapping[str, Any],
        candidates: Sequence[Mapping[str, Any]] = (),
    ) -> Campaign:
        """Have a completed campaign go on with wider limits. `budgets` are the new limits, not what is added;
        `candidates`, losses of your own as `propose` takes them, have the first places.
        """
        body: dict[str, Any] = {"budgets": _plain(budgets)}
        if candidates:
            body["candidates"] = [dict(each) for each in candidates]
        return self._ask("POST", f"{_path(campaign_id)}/extend", json=body)

    def clone(self, campaign_id: Id, *, name: str | None = None, idempotency_key: str | None = None) -> Campaign:
        """A new campaign with the same spec."""
        return self._make(f"{_path(campaign_id)}/clone", {} if name is None else {"name": name}, idempotency_key)

    def archive(self, campaign_id: Id) -> Campaign:
        return self._command(campaign_id, "archive")

    def unarchive(self, campaign_id: Id) -> Campaign:
        return self._command(campaign_id, "unarchive")

    def delete(self, campaign_id: Id) -> None:
        """Take it off every list; what was measured stays."""
        try:
            self._transport.send("DELETE", _path(campaign_id))
        except NotFound as error:
            if not error.lost_answers:  # else the answer to an earlier try got lost, and that one deleted it
                raise

    def wait(
        self, campaign_id: Id, *, on_event: Callable[[Event], object] | None = None, progress: bool = False
    ) -> Campaign:
        """Follow a campaign from its first event until it has ended. NotFound when somebody deletes it meanwhile.

        With `progress` a line goes to stderr where a round opens or closes, a stage is reached, or the campaign moves.
        A paused campaign is waited for: only a person has it go on.
        """
        if progress:
            return self.wait(campaign_id, on_event=lambda event: self._tell(event, on_event))
        with closing(self._events.stream(campaign_id)) as stream:
            for event in stream:
                if on_event is not None:
                    on_event(event)
                if event.kind not in _LAST_WORDS:
                    continue
                campaign = self._ask("GET", _path(campaign_id), retries=STREAM_RETRIES)
                if campaign.has_ended:
                    break
        if on_event is not None:  # what came behind the end, such as being archived
            for late in self._events.list(campaign_id, after=event.id):
                on_event(late)
        return campaign

    def _tell(self, event: Event, on_event: Callable[[Event], object] | None) -> None:
        if on_event is not None:
            on_event(event)
        if is_milestone(event):
            print(tell_milestone(event, self.read(event.campaign_id)), file=sys.stderr)  # noqa: T201

    def _ask(self, method: str, path: str, **content: Any) -> Campaign:
        return self._bind(self._transport.ask(Campaign, method, path, **content))

    def _bind(self, campaign: Campaign) -> Campaign:
        """So that it can be waited for without saying whose it is."""
        campaign._campaigns = self
        return campaign

    def _command(self, campaign_id: Id, command: str) -> Campaign:
        return self._ask("POST", f"{_path(campaign_id)}/{command}")

    def _make(self, path: str, body: Mapping[str, Any], idempotency_key: str | None) -> Campaign:
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        return self._ask("POST", path, json=body, headers=headers)


class Events:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, campaign_id: Id, *, after: str | None = None, limit: int = PAGE_SIZE) -> Iterator[Event]:
        """Those that have happened, the oldest first; `limit` is how many come with one request."""
        return self._transport.pages(Page[Event], f"{_path(campaign_id)}/events", {"after": after, "limit": limit})

    def stream(self, campaign_id: Id, *, after: str | None = None) -> Generator[Event]:
        """Those that have happened and then those that happen, without end. A cut connection is taken up again."""
        path, retries = f"{_path(campaign_id)}/events/stream", None
        while True:
            headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": after})
            response = self._transport.send(
                "GET", path, retries=retries, stream=True, headers=headers, timeout=STREAM_TIMEOUT
            )
            try:
                for sent in httpx2.EventSource(response):
                    if sent.data:
                        event = self._transport.read(Event, sent.data)
                        after = event.id
                        yield event
            except httpx2.SSEError as error:
                raise UnexpectedAnswer(self._transport.base_url, str(error)) from error
            except httpx2.TransportError:
                pass  # cut; what was not read comes behind the last id that was
            finally:
                response.close()
            retries = STREAM_RETRIES
            sleep(REOPEN_AFTER_S)


class Losses:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def families(self) -> list[LossFamily]:
        """Each with the inputs that a loss may ask for by name."""
        return self._transport.ask(Listed[LossFamily], "GET", "/v1/families").data

    def library(self, family: str = "pairwise") -> list[KnownLoss]:
        return self._transport.ask(Listed[KnownLoss], "GET", "/v1/library", params={"family": family}).data


class Arenas:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, *, arena: Mapping[str, Any], contents: Mapping[str, Any]) -> Arena:
        """Register an operator's arena; the same one twice is one. `discovery arena add` finds out the contents."""
        return self._transport.ask(Arena, "POST", "/v1/arenas", json={"arena": arena, "contents": contents})

    def list(self) -> list[Arena]:
        return self._transport.ask(Listed[Arena], "GET", "/v1/arenas").data

    def read(self, name: str) -> Arena:
        return self._transport.ask(Arena, "GET", f"/v1/arenas/{quote(name, safe=':@')}")

    def calibrate(self, name: str, *, content_sha256: str, library: Mapping[str, Any]) -> Arena:
        """Keep what `discovery arena calibrate` measured of an operator's arena."""
        body = {"content_sha256": content_sha256, "library": library}
        return self._transport.ask(Arena, "PUT", f"/v1/arenas/{quote(name, safe=':@')}/calibration", json=body)


class Candidates:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def check(
        self, source: str, *, family: str = "pairwise", hyperparameters: Mapping[str, float] | None = None
    ) -> Check:
        """Send a source through the gate without a campaign. A refusal is an answer, not an error.

        Never repeated by itself: a gate that is late is busy, and each try would be judged anew.
        """
        body = {"family": family, "source": source, "hyperparameters": dict(hyperparameters or {})}
        return self._transport.ask(Check, "POST", "/v1/candidates:check", retries=0, json=body)

    def read(self, candidate_id: Id) -> CandidateDetail:
        """Where it is from, what the gate found or why it refused it, how it stands everywhere, what it cost."""
        return self._transport.ask(CandidateDetail, "GET", _loss(candidate_id))

    def source(self, candidate_id: Id) -> CandidateSource:
        """As it was sent and as the gate writes it, each as text and as highlighted HTML."""
        return self._transport.ask(CandidateSource, "GET", f"{_loss(candidate_id)}/source")

    def graph(self, candidate_id: Id) -> CandidateGraph:
        return self._transport.ask(CandidateGraph, "GET", f"{_loss(candidate_id)}/graph")

    def curve(self, candidate_id: Id) -> CandidateCurve:
        """The loss and its slope by the margin, beside those of its family's reference."""
        return self._transport.ask(CandidateCurve, "GET", f"{_loss(candidate_id)}/curve")

    def evaluations(
        self,
        candidate_id: Id,
        *,
        arena: str | None = None,
        purpose: Sequence[str] = (),
        after: Id | None = None,
        limit: int = EVALUATIONS_SIZE,
    ) -> Iterator[Evaluation]:
        """All its trainings, as they were asked for; `limit` is how many come with one request."""
        params = {"arena": arena, "purpose": list(purpose), "after": after and str(after), "limit": limit}
        return self._transport.pages(Page[Evaluation], f"{_loss(candidate_id)}/evaluations", params)

    def lineage(self, candidate_id: Id) -> Lineage:
        """Its ancestors and descendants, with what changed in the source at each step."""
        return self._transport.ask(Lineage, "GET", f"{_loss(candidate_id)}/lineage")

    def frontier(self, candidate_id: Id, *, arena: str | None = None) -> Frontier:
        """What it earns for its KL at each setting that was tried, beside the reference; in a held-out arena if one is
        named.
        """
        return self._transport.ask(Frontier, "GET", f"{_loss(candidate_id)}/frontier", params={"arena": arena})

    def export_module(self, candidate_id: Id) -> bytes:
        """The loss as one Python file that needs only torch."""
        return self._transport.send("GET", f"{_loss(candidate_id)}/export/module").content

    def export_bundle(self, candidate_id: Id) -> bytes:
        """The same as a zip, with a trainer for TRL, a test of all of it, and where it comes from."""
        return self._transport.send("GET", f"{_loss(candidate_id)}/export/bundle").content


class Evaluations:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def read(self, evaluation_id: Id) -> Evaluation:
        return self._transport.ask(Evaluation, "GET", f"/v1/evaluations/{UUID(str(evaluation_id))}")

    def retry(self, evaluation_id: Id) -> Evaluation:
        """Have an abandoned one tried again. Its campaign stays paused until it is resumed."""
        try:
            return self._transport.ask(Evaluation, "POST", f"/v1/evaluations/{UUID(str(evaluation_id))}:retry")
        except Conflict as error:
            if not error.lost_answers:  # else the answer to an earlier try got lost, and that one was heard
                raise
            return self.read(evaluation_id)


class Leaderboards:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        campaign: Sequence[Id] = (),
        arena: Sequence[str] = (),
        stage: str | None = None,
        against: str | None = None,
        include: Sequence[str] = (),
        after: str | None = None,
        limit: int = PAGE_SIZE,
    ) -> Iterator[LeaderboardRow]:
        """The losses of all campaigns, in each arena by the lower bound of their difference to their family's
        reference; `include` may name the library. `limit` is how many come with one request.
        """
        params = _board_params(campaign, arena, stage, against, include)
        return self._transport.pages(
            Page[LeaderboardRow], "/v1/leaderboard", {**params, "after": after, "limit": limit}
        )

    def csv(
        self,
        *,
        campaign: Sequence[Id] = (),
        arena: Sequence[str] = (),
        stage: str | None = None,
        against: str | None = None,
        include: Sequence[str] = (),
    ) -> str:
        """The same as a table for a spreadsheet, whole."""
        params = _board_params(campaign, arena, stage, against, include)
        headers = {"Accept": "text/csv"}
        return self._transport.send("GET", "/v1/leaderboard", params=params, headers=headers).text


def _board_params(
    campaign: Sequence[Id], arena: Sequence[str], stage: str | None, against: str | None, include: Sequence[str]
) -> dict[str, Any]:
    asked = {"campaign": [str(each) for each in campaign], "arena": [*arena], "include": [*include]}
    return {**asked, "stage": stage, "against": against}


class Workers:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> list[Worker]:
        """Those that were seen within a day, by name."""
        return self._transport.ask(Listed[Worker], "GET", "/v1/workers").data


class Keys:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, *, name: str, scopes: Sequence[str], expires_at: datetime | None = None) -> NewApiKey:
        """Never repeated by itself: the token comes with the first answer or not at all."""
        body = {"name": name, "scopes": list(scopes), "expires_at": expires_at and expires_at.isoformat()}
        return self._transport.ask(NewApiKey, "POST", "/v1/keys", retries=0, json=body)

    def list(self, *, after: Id | None = None, limit: int = PAGE_SIZE) -> Iterator[ApiKey]:
        """All of them, the newest first, revoked ones too; `limit` is how many come with one request."""
        return self._transport.pages(Page[ApiKey], "/v1/keys", {"after": after and str(after), "limit": limit})

    def revoke(self, key_id: Id) -> ApiKey:
        return self._transport.ask(ApiKey, "POST", f"/v1/keys/{UUID(str(key_id))}/revoke")


class Service:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def health(self) -> Health:
        return self._transport.ask(Health, "GET", "/healthz")

    def readiness(self) -> Readiness:
        """Also when it is unavailable: that is the answer here, not an error."""
        try:
            return self._transport.ask(Readiness, "GET", "/readyz", retries=0)
        except Unavailable as error:
            return self._transport.read(Readiness, error.body)

    def metrics(self) -> str:
        """In the text format of Prometheus."""
        return self._transport.send("GET", "/metrics").text


def _path(campaign_id: Id) -> str:
    return f"/v1/campaigns/{UUID(str(campaign_id))}"


def _loss(candidate_id: Id) -> str:
    return f"/v1/candidates/{UUID(str(candidate_id))}"


def _plain(value: Model | Mapping[str, Any]) -> dict[str, Any]:
    return value.model_dump(mode="json", exclude_unset=True) if isinstance(value, Model) else dict(value)
