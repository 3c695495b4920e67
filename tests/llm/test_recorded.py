"""Recorded replies come through the same client, each where it belongs, and say what they are."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from openai import NotFoundError, OpenAI

from discovery_service.domain.recorded import RECORDED_KINDS, RECORDED_PROPOSALS
from discovery_service.errors import UsageError
from discovery_service.settings import LlmSettings
from tests.llm.conftest import QUESTION, Waits
from workers.llm.asking import Question, ask
from workers.llm.models import Model, find_recorded
from workers.llm.outcomes import Consequence, Failure, FaultCode, Outcome, Reply
from workers.llm.recorded import RecordedServer
from workers.llm.recordings import list_recordings, metadata_of


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with RecordedServer(0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


def ask_for(url: str, arena: str, number: int, turn: int = 0) -> Outcome:
    model = find_recorded(arena, LlmSettings(recorded_url=url))
    assert isinstance(model, Model)
    question = Question(QUESTION.messages, QUESTION.schema, metadata_of(number, turn))
    return ask(model, question, Waits())


@pytest.mark.parametrize("arena", ["panel:mini", "terse:mini", "plain:base"])
def test_the_recorded_proposals_of_a_campaign_come_each_once_in_their_order(url: str, arena: str) -> None:
    kind = arena.partition(":")[0]
    recorded = [each.reply for each in list_recordings() if each.arena == kind]
    assert len(recorded) == 12
    outcomes = [ask_for(url, arena, number) for number in range(12)]
    assert [each.text for each in outcomes if isinstance(each, Reply)] == recorded
    assert {each.model for each in outcomes if isinstance(each, Reply)} == {f"recorded/{kind}"}


@pytest.mark.parametrize(("number", "turn"), [(12, 0), (0, 1)])
def test_beyond_the_recording_and_for_a_repair_the_proposal_ends(url: str, number: int, turn: int) -> None:
    failure = ask_for(url, "terse:mini", number, turn)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.consequence) == (FaultCode.NOT_RECORDED, Consequence.GIVE_UP)


@pytest.mark.parametrize("arena", ["fog:mini", "panel-of-mine", "terse"])
def test_an_arena_without_recordings_is_told_with_those_that_have_them(url: str, arena: str) -> None:
    failure = find_recorded(arena, LlmSettings(recorded_url=url))
    assert isinstance(failure, Failure)
    assert (failure.code, failure.consequence) == (FaultCode.NOT_RECORDED, Consequence.PAUSE)
    assert "but in panel, plain, terse" in failure.message


def test_what_the_domain_says_is_recorded_is_what_there_is() -> None:
    places = {(each.arena, each.round, each.slot) for each in list_recordings()}
    expected = [(kind, metadata_of(number)) for kind in RECORDED_KINDS for number in range(RECORDED_PROPOSALS)]
    assert places == {(kind, int(place["round"]), int(place["slot"])) for kind, place in expected}


def test_the_endpoint_tells_any_client_what_there_is_not(url: str) -> None:
    with OpenAI(api_key="none", base_url=url, max_retries=0) as client, pytest.raises(NotFoundError, match="for fog"):
        client.chat.completions.create(model="fog", messages=[], metadata={"round": "1", "slot": "1"})


def test_without_the_endpoint_the_reason_says_who_serves_it() -> None:
    failure = find_recorded("terse:mini", LlmSettings())
    assert isinstance(failure, Failure)
    assert "`discovery up`" in failure.message


def test_any_openai_client_can_list_what_there_is(url: str) -> None:
    with OpenAI(api_key="none", base_url=url, max_retries=0) as client:
        names = [model.id for model in client.models.list()]
    assert names == ["recorded/panel", "recorded/plain", "recorded/terse"]


def test_a_request_that_names_no_recording_is_told_what_is_missing(url: str) -> None:
    model = find_recorded("terse:mini", LlmSettings(recorded_url=url))
    assert isinstance(model, Model)
    failure = ask(model, Question(QUESTION.messages), Waits())
    assert isinstance(failure, Failure)
    assert "chosen by model and by round and slot in metadata" in failure.message


def test_a_busy_port_is_told() -> None:
    with RecordedServer(0) as server, pytest.raises(UsageError, match=f"Port {server.server_address[1]} on 127.0.0.1"):
        RecordedServer(server.server_address[1])


def test_the_command_serves_until_ctrl_c() -> None:
    command = [sys.executable, "-m", "discovery_service.cli", "recorded", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONUNBUFFERED": "1"}) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[-1]
            assert isinstance(ask_for(url, "panel:mini", 11), Reply)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
