"""Real servers for every test: one PostgreSQL and one Redis a session, one clone of a migrated template a test.

`DISCOVERY_TEST_DATABASE_URL` (an owner's) and `DISCOVERY_TEST_REDIS_URL` (as Celery reads it) name others to use.
"""

import gc
import os
import secrets
import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
import structlog
from kombu import Connection as BrokerConnection
from psycopg import sql
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import sessionmaker

from discovery_service.db.migrate import upgrade
from discovery_service.db.sessions import SERVICE_ROLE, Sessions, make_sessions
from discovery_service.domain.isolation import Level
from discovery_service.engine.dispatch import Ring
from discovery_service.local.postgres import running_postgres
from discovery_service.local.redis import running_redis
from workers.supervisor.jail import Jail

# As workers have it, for this process and all that tests start: several processes test at once, and threads that wait
# for a processor which another process has took a check of exported losses three times as much of both.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

IN_MEMORY = Path("/dev/shm")
"""Where a clone of the template takes 50 ms; on a disk it takes 70, and 300 where several processes keep that busy."""
SPACE_BYTES = 4 << 30


class GivenServers(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="DISCOVERY_TEST_")

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None


@dataclass(frozen=True)
class Servers:
    owner_url: str
    """Of the database from which others are made."""
    service_user: str | None
    """Who the service logs in as; None: as the owner, whose rights each connection drops."""
    redis_url: str


@dataclass(frozen=True)
class Database:
    owner_url: str
    service_url: str

    @property
    def is_service_login(self) -> bool:
        return make_url(self.service_url).username == SERVICE_ROLE


@dataclass
class RecordingBell:
    """A bell that only remembers: (task, queue, id of the row) of each ring, in order."""

    rings: list[Ring] = field(default_factory=list)

    def ring(self, rings: Iterable[Ring]) -> None:
        self.rings.extend(rings)

    def is_heard(self) -> bool:
        return True


@contextmanager
def _new_database(owner: psycopg.Connection, template: str = "template0") -> Iterator[str]:
    name = f"discovery_test_{secrets.token_hex(6)}"
    # Copying files took 52 ms a clone, WAL_LOG 61 ms.
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    owner.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield name
    finally:
        owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _database(servers: Servers, name: str) -> Database:
    owner = make_url(servers.owner_url).set(database=name)
    service = owner if servers.service_user is None else owner.set(username=servers.service_user)
    return Database(owner.render_as_string(hide_password=False), service.render_as_string(hide_password=False))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of few and long tests first, or one process would be at them when the other has nothing left."""
    items.sort(key=lambda item: item.path.parent.name != "workers")


def pytest_collection_finish() -> None:
    """What all the modules have brought stays to the end: looking at it again and again took a sixth of the time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """What a test has logged travels between processes as UTF-8, and some log lone surrogates, which have none."""
    report = yield
    report.sections = [(title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Whoever runs the tests may have a service of their own in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("DISCOVERY__")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """As the service logs on a console; structlog's own default takes seconds to draw a traceback with its locals."""
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, console],
        logger_factory=structlog.stdlib.LoggerFactory(),  # pytest shows it beside a failure, and nowhere else
    )


def _has_room_in_memory() -> bool:
    """A container may have none, or 64 MB; the write-ahead log alone grows to a gigabyte."""
    return IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > SPACE_BYTES


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    given = GivenServers()
    with ExitStack() as running:
        if _has_room_in_memory():
            directory = Path(running.enter_context(TemporaryDirectory(prefix="discovery-tests-", dir=IN_MEMORY)))
        else:
            directory = tmp_path_factory.mktemp("servers")
        if given.database_url is None:
            postgres = running.enter_context(running_postgres(directory, durable=False))
            owner_url, service_user = postgres.owner_url, SERVICE_ROLE
        else:
            url = make_url(given.database_url.get_secret_value()).set(drivername="postgresql")
            owner_url, service_user = url.render_as_string(hide_password=False), None
        if given.redis_url is None:
            redis_url = running.enter_context(running_redis(directory)).broker_url
        else:
            redis_url = given.redis_url.get_secret_value()
        yield Servers(owner_url, service_user, redis_url)


@pytest.fixture(scope="session")
def _owner(servers: Servers) -> Iterator[psycopg.Connection]:
    with psycopg.connect(servers.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def _template(servers: Servers, _owner: psycopg.Connection) -> Iterator[str]:
    """The name of a migrated database that nobody can connect to, so that it can always be cloned."""
    with _new_database(_owner) as name:
        upgrade(_database(servers, name).owner_url)
        _owner.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        yield name


@pytest.fixture
def empty_database(servers: Servers, _owner: psycopg.Connection) -> Iterator[Database]:
    """A database that was never migrated."""
    with _new_database(_owner) as name:
        yield _database(servers, name)


@pytest.fixture
def database(servers: Servers, _owner: psycopg.Connection, _template: str) -> Iterator[Database]:
    """A migrated database of the test's own."""
    with _new_database(_owner, template=_template) as name:
        yield _database(servers, name)


@pytest.fixture
def sessions(database: Database) -> Iterator[Sessions]:
    """Sessions with the service's rights."""
    made = make_sessions(database.service_url, pool_size=5)
    yield made
    made.kw["bind"].dispose()


@pytest.fixture
def owner_sessions(database: Database) -> Iterator[Sessions]:
    """Sessions with all rights, to arrange what the service may not."""
    engine = create_engine(database.owner_url)
    yield sessionmaker(engine, expire_on_commit=False)
    engine.dispose()


@pytest.fixture
def bell() -> RecordingBell:
    return RecordingBell()


@pytest.fixture(scope="session")
def production_jail() -> Iterator[Jail]:
    """With the jobs that a candidate goes through, and no other; for tests that leave it as they found it."""
    with Jail(Level.FULL) as opened:
        yield opened


@pytest.fixture(scope="session")
def _redis(servers: Servers) -> Iterator[Any]:
    with BrokerConnection(servers.redis_url) as connection:
        yield connection.default_channel.client


@pytest.fixture
def redis_client(_redis: Any) -> Any:
    """redis-py on the broker's database, emptied for the test."""
    _redis.flushdb()
    return _redis


@pytest.fixture
def redis_url(servers: Servers, redis_client: Any) -> str:
    """The broker's URL as Celery reads it; the broker is empty."""
    return servers.redis_url
