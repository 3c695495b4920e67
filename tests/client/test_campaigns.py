"""Campaigns, events, keys and health through the SDK, from a real API."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from threading import Timer
from uuid import uuid4

import pytest

from discovery_service.api import create_app
from discovery_service.client import (
    Campaign,
    Client,
    Conflict,
    Event,
    Forbidden,
    NotFound,
    Unauthorized,
    Unprocessable,
)
from discovery_service.db.sessions import Sessions
from tests.api.serving import api_settings, serving
from tests.conftest import Database

SPEC = {"arena": "panel:mini", "budgets": {"candidates": 4, "cost_usd": 1.5}}


@pytest.fixture
def campaign(client: Client) -> Campaign:
    return client.campaigns.create(name="a search", spec=SPEC, notes="first")


def test_a_campaign_is_read_as_it_was_made(client: Client, campaign: Campaign) -> None:
    assert client.campaigns.read(campaign.id) == campaign
    assert (campaign.name, campaign.notes, campaign.status) == ("a search", "first", "queued")
    assert campaign.spec.budgets.cost_usd == 1.5
    assert not campaign.has_ended


def test_the_spec_of_one_campaign_makes_another(client: Client, campaign: Campaign) -> None:
    again = client.campaigns.create(name="again", spec=campaign.spec)
    assert again.spec == campaign.spec


def test_a_campaign_that_was_answered_is_waited_for_and_says_how_far_it_is(
    client: Client, campaign: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    client.campaigns.cancel(campaign.id)
    heard: list[str] = []
    ended = campaign.wait(progress=True, on_event=lambda event: heard.append(event.kind))
    assert (ended.id, ended.status) == (campaign.id, "cancelled")
    assert heard[0] == "campaign.created"
    told = capsys.readouterr()
    assert told.out == ""
    assert [line.split("] ")[1].split(":")[0] for line in told.err.splitlines()] == heard
    [listed] = client.campaigns.list()
    assert listed.wait().status == "cancelled"
    with pytest.raises(ValueError, match="read by no client"):
        Campaign.model_validate(campaign.model_dump()).wait()


def test_commands_change_the_status(client: Client, campaign: Campaign) -> None:
    assert client.campaigns.pause(campaign.id).status == "paused"
    assert client.campaigns.resume(campaign.id).status == "queued"
    assert client.campaigns.cancel(campaign.id).status == "cancelled"
    assert client.campaigns.archive(campaign.id).archived_at is not None
    assert [each.id for each in client.campaigns.list(archived=True)] == [campaign.id]
    assert client.campaigns.unarchive(campaign.id).archived_at is None
    client.campaigns.delete(campaign.id)
    assert list(client.campaigns.list()) == []


def test_edit_changes_what_is_given_and_nothing_else(client: Client, campaign: Campaign) -> None:
    edited = client.campaigns.edit(campaign.id, notes="", guidance="be brief", budgets={"candidates": 9})
    assert (edited.name, edited.notes, edited.spec.guidance) == ("a search", "", "be brief")
    assert edited.spec.budgets.candidates == 9


def test_a_clone_has_the_same_spec(client: Client, campaign: Campaign) -> None:
    cloned = client.campaigns.clone(campaign.id, name="twin")
    assert (cloned.name, cloned.cloned_from, cloned.spec) == ("twin", campaign.id, campaign.spec)


def test_lists_page_by_themselves_and_only_as_far_as_somebody_reads(client: Client) -> None:
    made = [client.campaigns.create(name=str(number), spec=SPEC).id for number in range(5)]
    assert [each.id for each in client.campaigns.list(limit=2)] == made[::-1]
    assert [each.id for each in islice(client.campaigns.list(limit=2, after=made[3]), 1)] == [made[2]]
    client.campaigns.cancel(made[0])
    assert {each.id for each in client.campaigns.list(status=["cancelled", "failed"])} == {made[0]}


def test_events_are_listed_behind_an_id(client: Client, campaign: Campaign) -> None:
    client.campaigns.pause(campaign.id)
    created, paused = client.events.list(campaign.id, limit=1)
    assert [created.kind, paused.kind] == ["campaign.created", "campaign.paused"]
    assert list(client.events.list(campaign.id, after=created.id)) == [paused]


def test_wait_tells_every_event_until_the_end(client: Client, campaign: Campaign) -> None:
    told: list[Event] = []
    client.campaigns.pause(campaign.id)
    cancelling = Timer(0.3, client.campaigns.cancel, [campaign.id])
    cancelling.start()
    ended = client.campaigns.wait(campaign.id, on_event=told.append)
    cancelling.join()
    assert ended.status == "cancelled"
    assert [each.kind.removeprefix("campaign.") for each in told] == ["created", "paused", "cancelling", "cancelled"]


def test_wait_on_an_ended_campaign_tells_what_came_behind_the_end(client: Client, campaign: Campaign) -> None:
    client.campaigns.cancel(campaign.id)
    client.campaigns.archive(campaign.id)
    told: list[Event] = []
    assert client.campaigns.wait(campaign.id, on_event=told.append).has_ended
    assert [each.kind for each in told][-2:] == ["campaign.cancelled", "campaign.archived"]


def test_waiting_ends_when_the_campaign_is_deleted(client: Client, campaign: Campaign) -> None:
    deleting = Timer(0.3, client.campaigns.delete, [campaign.id])
    deleting.start()
    with pytest.raises(NotFound):
        client.campaigns.wait(campaign.id)
    deleting.join()


def test_errors_are_told_apart_by_class_and_slug(client: Client, campaign: Campaign, sessions: Sessions) -> None:
    with pytest.raises(NotFound) as missing:
        client.campaigns.read(uuid4())
    assert missing.value.slug == "not_found"
    assert missing.value.request_id
    client.campaigns.cancel(campaign.id)
    with pytest.raises(Conflict, match="cancelled") as conflict:
        client.campaigns.resume(campaign.id)
    assert conflict.value.slug == "illegal_transition"


def test_a_refused_field_is_named_with_what_is_allowed(client: Client) -> None:
    with pytest.raises(Unprocessable, match="panel:mini") as refused:
        client.campaigns.create(name="x", spec={"arena": "panel:huge", "budgets": {"candidates": -1}})
    assert {each.field for each in refused.value.errors} == {"body.spec.arena", "body.spec.budgets.candidates"}


def test_keys_open_what_their_scopes_say_until_they_are_revoked(client: Client, url: str) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    key = client.keys.create(name="reader", scopes=["campaigns:read"], expires_at=tomorrow)
    assert key.expires_at == tomorrow
    assert key.id in {each.id for each in client.keys.list(limit=1)}
    with Client(url, key.token) as reader:
        assert list(reader.campaigns.list()) == []
        with pytest.raises(Forbidden):
            reader.campaigns.create(name="x", spec=SPEC)
        assert client.keys.revoke(key.id).revoked_at is not None
        with pytest.raises(Unauthorized):
            list(reader.campaigns.list())


def test_the_service_tells_how_it_is(client: Client) -> None:
    assert client.service.health().status == "ok"
    assert client.service.readiness().status == "ready"
    assert "discovery_workers 0.0" in client.service.metrics()


def test_an_unavailable_service_is_an_answer_of_readiness(empty_database: Database, redis_url: str) -> None:
    with (
        serving(create_app(api_settings(empty_database.owner_url, redis_url))) as url,
        Client(url, "dls_none") as client,
    ):
        readiness = client.service.readiness()
    assert (readiness.status, readiness.schema_revision) == ("unavailable", None)


def test_fields_of_a_newer_service_are_kept(campaign: Campaign) -> None:
    answer = campaign.model_dump(mode="json") | {"priority": 3, "status": "napping"}
    newer = Campaign.model_validate(answer)
    assert newer.model_dump(mode="json") == answer
