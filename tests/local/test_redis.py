"""Redis in a directory of ours: on a socket alone, nothing evicted, what it held survives a stop."""

import os
from pathlib import Path

import pytest
from kombu import Connection
from redis import Redis as Client

from discovery_service.errors import UsageError
from discovery_service.local.account import server_account
from discovery_service.local.directory import find_processes_in
from discovery_service.local.redis import prepare_redis, running_redis
from tests.local.processes import find_processes


def test_it_holds_what_it_was_told_over_a_restart(tmp_path: Path) -> None:
    for expected in (None, b"1"):
        with running_redis(tmp_path) as redis, Client.from_url(redis.url) as client:
            assert client.get("kept") == expected
            client.set("kept", 1)
    assert not find_processes(tmp_path)


def test_it_is_set_up_as_a_broker_and_hears_on_its_socket_alone(tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis, Client.from_url(redis.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("port") == {"port": "0"}
        assert redis.socket.stat().st_mode & 0o077 == 0


def test_celery_reads_the_broker_url_also_with_odd_characters_in_it(tmp_path: Path) -> None:
    with running_redis(tmp_path / "a b+%41") as redis, Connection(redis.broker_url) as connection:
        connection.ensure_connection(max_retries=1, timeout=5)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the account")
def test_as_root_it_runs_as_nobody(tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis:
        (pid,) = find_processes_in(redis.directory, "redis-server")
        assert Path(f"/proc/{pid}").stat().st_uid == server_account().uid != 0


def test_a_directory_on_which_a_server_runs_is_refused(tmp_path: Path) -> None:
    with running_redis(tmp_path), pytest.raises(UsageError, match=r"Redis runs on .* already, as process \d+"):
        prepare_redis(tmp_path)
