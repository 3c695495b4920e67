"""A real propose worker at a model that takes one call at once: all are asked in turn, and nothing sweeps up behind."""

import threading
from http import HTTPStatus

import pytest

from discovery_service.db.sessions import Sessions
from discovery_service.domain.states import ExchangeStatus
from discovery_service.engine.bell import make_bell
from discovery_service.engine.dispatch import ring, unit_of_work
from discovery_service.engine.work import EXCHANGE
from tests.engine.searching import say
from tests.llm.endpoint import Endpoint, Handler
from tests.waiting import wait_until
from tests.workers.asking import Asking, models
from tests.workers.conftest import Fleet
from workers.llm.recorded import completion

OVERLAP_S = 0.05
"""How long each answer takes, for another call to come meanwhile."""


@pytest.mark.usefixtures("in_process")
def test_a_worker_asks_one_after_the_other_where_the_profile_says_so_and_forgets_none(
    sessions: Sessions, fleet: Fleet, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, at_once = threading.Semaphore(), []

    def reply_alone(handler: Handler) -> None:
        at_once.append(not alone.acquire(blocking=False))
        handler.server.closing.wait(OVERLAP_S)
        handler.send(HTTPStatus.OK, completion("chat-1", "m", say("exp"), tokens_in=10, tokens_out=5))
        alone.release()

    with Endpoint(otherwise=reply_alone) as endpoint:
        spec = {"proposers": models(endpoint, monkeypatch), "strategy": {"name": "evolve", "round_size": 8}}
        asking = Asking(sessions, library=["dpo"], budgets={"candidates": 8}, **spec)
        asking.search(until=lambda: bool(asking.list_proposals()))
        exchanges = [each.id for _, made in asking.list_proposals() for each in asking.list_exchanges(made.id)]
        profile = {"MODEL": "m", "BASE_URL": endpoint.url, "CONCURRENCY": "1"}
        given = {f"DISCOVERY__LLM__PROFILES__FAST__{name}": value for name, value in profile.items()}
        fleet.start_deployed("propose", **given)
        with unit_of_work(sessions, make_bell(redis_url)) as session:
            ring(session, EXCHANGE, *exchanges)

        def are_answered() -> bool:
            found = [each for _, made in asking.list_proposals() for each in asking.list_exchanges(made.id)]
            return {each.status for each in found if each.turn == 0} == {ExchangeStatus.ANSWERED}

        wait_until(are_answered, deadline_s=90)
    assert len(exchanges) == 8
    assert not any(at_once)
