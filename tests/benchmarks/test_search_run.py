"""Campaigns of the benchmark on a real API and database; who completes them is the test, in the workers' place."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import select

from benchmarks.kept import Kept
from benchmarks.local_stack import LocalStack
from benchmarks.search_plan import Case, Part
from benchmarks.search_run import run_cases
from discovery_service.api import create_app
from discovery_service.client import Client
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign
from discovery_service.domain.access import Scope
from discovery_service.domain.campaign import CampaignSpec, StrategyName
from discovery_service.domain.states import CampaignStatus
from discovery_service.engine.campaigns import complete_campaign, get_campaign, move, pause_for
from discovery_service.engine.library import open_library
from tests.api.serving import api_settings, make_key, serving
from tests.conftest import Database
from tests.waiting import wait_until

CASES = [Case(Part.OUTCOMES, "terse:mini", StrategyName.EVOLVE, seed) for seed in (1, 2)]
REASON = "No confirmed discovery: nobody was asked."


@pytest.fixture
def stack(database: Database, redis_url: str, sessions: Sessions) -> Iterator[LocalStack]:
    app = create_app(api_settings(database.service_url, redis_url))
    with serving(app) as url, Client(url, make_key(sessions, Scope.ADMIN)) as client:
        yield LocalStack(client, sessions.kw["bind"])


def list_campaigns(sessions: Sessions) -> list[Campaign]:
    with sessions() as session:
        return list(session.scalars(select(Campaign).order_by(Campaign.created_at)))


def start(sessions: Sessions, case: Case) -> Campaign:
    """As a worker's first step does."""
    wait_until(lambda: any(each.name == case.name for each in list_campaigns(sessions)), deadline_s=60)
    [found] = [each for each in list_campaigns(sessions) if each.name == case.name]
    with sessions.begin() as session:
        campaign = get_campaign(session, found.id, lock=True)
        if campaign.status is CampaignStatus.QUEUED:
            move(session, campaign, CampaignStatus.RUNNING)
            open_library(session, campaign, CampaignSpec.model_validate(campaign.spec), {})
        return campaign


def complete(sessions: Sessions, case: Case) -> None:
    started = start(sessions, case)
    with sessions.begin() as session:
        complete_campaign(session, get_campaign(session, started.id, lock=True), REASON, None)


def run(stack: LocalStack, kept: Kept, cases: list[Case], *, until: float = math.inf) -> list[str]:
    return run_cases(stack, kept, cases, until=until)


def test_each_is_run_and_kept_and_never_run_again(stack: LocalStack, sessions: Sessions, tmp_path: Path) -> None:
    kept = Kept(tmp_path / "search.jsonl")
    with ThreadPoolExecutor(1) as workers:
        ended = workers.submit(lambda: [complete(sessions, case) for case in CASES])
        assert run(stack, kept, CASES) == []
        ended.result()
    again = Kept(kept.path)
    assert [each["reason"] for case in CASES if (each := again.find(case.key))] == [REASON, REASON]
    assert run(stack, again, CASES) == []
    assert len(list_campaigns(sessions)) == 2


def test_one_that_an_earlier_run_had_begun_goes_on_and_what_it_left_of_others_does_not(
    stack: LocalStack, sessions: Sessions, tmp_path: Path
) -> None:
    wanted, left = CASES
    for case in CASES:
        stack.client.campaigns.create(name=case.name, spec=case.spec)
    kept = Kept(tmp_path / "search.jsonl")
    with ThreadPoolExecutor(1) as workers:
        ended = workers.submit(complete, sessions, wanted)
        assert run(stack, kept, [wanted]) == []
        ended.result()
    statuses = {each.name: each.status for each in list_campaigns(sessions)}
    assert statuses == {wanted.name: CampaignStatus.COMPLETED, left.name: CampaignStatus.CANCELLED}
    found = kept.find(wanted.key)
    assert found is not None
    # Its slots may have stood still between the two runs.
    assert (found["wall_s"], found["slot_time"]) == (None, None)


def test_one_that_is_paused_is_told_and_resumed_by_the_next_run(
    stack: LocalStack, sessions: Sessions, tmp_path: Path
) -> None:
    case, kept = CASES[0], Kept(tmp_path / "search.jsonl")

    def pause() -> None:
        started = start(sessions, case)
        with sessions.begin() as session:
            pause_for(session, started.id, "The endpoint wants money.")

    with ThreadPoolExecutor(1) as workers:
        paused = workers.submit(pause)
        [problem] = run(stack, kept, [case])
        paused.result()
        assert problem.endswith("is paused: The endpoint wants money.")
        assert kept.find(case.key) is None
        ended = workers.submit(complete_resumed, sessions, case)
        assert run(stack, kept, [case]) == []
        ended.result()
    assert kept.find(case.key) is not None


def complete_resumed(sessions: Sessions, case: Case) -> None:
    wait_until(lambda: list_campaigns(sessions)[0].status is CampaignStatus.RUNNING, deadline_s=60)
    complete(sessions, case)


def test_after_the_time_is_up_none_is_begun(stack: LocalStack, sessions: Sessions, tmp_path: Path) -> None:
    assert run(stack, Kept(tmp_path / "search.jsonl"), CASES, until=monotonic() - 1) == []
    assert list_campaigns(sessions) == []
