import socket
import ssl
from typing import Any

import pytest
from celery.exceptions import QueueNotFound
from kombu.utils.url import parse_url
from structlog.testing import CapturingLogger

from discovery_service.engine import bell as module
from discovery_service.engine.bell import make_bell
from discovery_service.engine.dispatch import QUEUES, ring, unit_of_work
from discovery_service.engine.work import EVALUATION, WORK_KINDS
from tests.engine.conftest import Stage

NOWHERE = "redis://127.0.0.1:1/0"


def test_a_broker_that_is_away_does_not_fail_the_unit_of_work(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(module, "log", log)
    rows = [stage.add_work() for _ in range(3)]
    with unit_of_work(stage.sessions, make_bell(NOWHERE)) as session:
        ring(session, EVALUATION, *rows)
    assert all(stage.get((EVALUATION, row_id)).rung_at is not None for row_id in rows)
    # One warning and no further try: each would take its time.
    assert [(call.method_name, call.args) for call in log.calls] == [("warning", ("bell.broker_away",))]


@pytest.mark.parametrize(
    ("url", "required"),
    [
        ("rediss://:p%40ss@somewhere:6380/1", True),
        ("rediss://somewhere/1?ssl_ca_certs=/etc/ours.pem", True),
        ("rediss://somewhere/1?ssl_cert_reqs=none", False),
    ],
)
def test_the_brokers_certificate_is_verified_unless_the_url_says_otherwise(url: str, required: bool) -> None:
    read = parse_url(make_bell(url).app.conf.broker_url)
    assert read["ssl"]["ssl_cert_reqs"] == (ssl.CERT_REQUIRED if required else ssl.CERT_NONE)
    given = parse_url(url)
    assert {name: read[name] for name in read if name != "ssl"} == {
        name: given[name] for name in given if name != "ssl"
    }


def test_whether_the_broker_answers_is_known(redis_url: str) -> None:
    assert make_bell(redis_url).is_heard()
    assert not make_bell(NOWHERE).is_heard()


def test_a_broker_that_hangs_counts_as_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not make_bell(f"redis://127.0.0.1:{silent.getsockname()[1]}/0").is_heard()


def test_a_message_lies_in_its_own_queue_and_holds_only_the_rows_id(
    stage: Stage, redis_url: str, redis_client: Any
) -> None:
    bell = make_bell(redis_url)
    with unit_of_work(stage.sessions, bell) as session:
        for kind in WORK_KINDS:
            ring(session, kind, stage.add_work(kind))
    assert bell.count_messages() == {**dict.fromkeys(QUEUES, 0), "propose": 1, "gate": 1, "evaluate": 1}
    with bell.app.connection_for_read() as connection:
        for kind in WORK_KINDS:
            message = connection.SimpleQueue(kind.queue, no_ack=True).get(block=False)
            args, kwargs, _ = message.payload
            assert message.headers["task"] == kind.task
            assert message.content_type == "application/json"
            assert stage.get((kind, args[0]))
            assert kwargs == {}


def test_a_wiped_broker_takes_messages_as_before(stage: Stage, redis_url: str, redis_client: Any) -> None:
    bell = make_bell(redis_url)
    with unit_of_work(stage.sessions, bell) as session:
        ring(session, EVALUATION, stage.add_work())
    redis_client.flushdb()
    assert bell.count_messages()["evaluate"] == 0
    with unit_of_work(stage.sessions, bell) as session:
        ring(session, EVALUATION, stage.add_work())
    assert bell.count_messages()["evaluate"] == 1


def test_a_queue_that_nobody_consumes_is_not_made_by_a_misspelling(redis_url: str) -> None:
    bell = make_bell(redis_url)
    with pytest.raises(QueueNotFound, match="evalute"):
        bell.app.send_task("evaluate.train", args=["x"], queue="evalute")
