"""`discovery up`: postgres and redis, migration and first key, then the API, the workers and beat; and the way back.

What a person can mend is told as a UsageError, before the first process starts where it can be known by then.
"""

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kombu import Connection
from kombu.exceptions import OperationalError
from sqlalchemy.orm import Session

from discovery_service.db.migrate import upgrade
from discovery_service.db.sessions import make_engine
from discovery_service.domain.access import Scope
from discovery_service.engine.broker import verify
from discovery_service.engine.keys import create_key, find_principal
from discovery_service.errors import UsageError
from discovery_service.local import services, state
from discovery_service.local.address import Address, find_address
from discovery_service.local.directory import check_ours, open_data_dir
from discovery_service.local.guarded import ProgramFailed
from discovery_service.local.output import Output
from discovery_service.local.postgres import prepare_postgres
from discovery_service.local.redis import prepare_redis
from discovery_service.local.supervisor import StopRequested, Supervisor
from discovery_service.settings import get_settings

STDOUT = 1
# After a crash PostgreSQL replays its log before it lets anybody in.
READY_DEADLINE_S = 60.0


@dataclass(frozen=True)
class StackOptions:
    """What `discovery up` was asked for."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8020
    """0 takes any free one."""
    slots: int | None = None
    database_url: str | None = None
    """A server that runs already; ours is not started then."""
    owner_url: str | None = None
    """Who migrates the database of that server, if not the login of `database_url`."""
    redis_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """The caller's environment; children get the few variables of it that they need."""
    entry: tuple[str, ...] = services.ENTRY
    """What runs `api`, `worker QUEUE`, `beat` and `recorded`."""


def run_stack(options: StackOptions) -> int:
    """Run the local stack until Ctrl-C or SIGTERM; the exit code. UsageError when it cannot start."""
    output = Output(STDOUT)
    check_ours(options.data_dir)
    data_dir = open_data_dir(options.data_dir)
    with state.claimed(data_dir) as claim:
        address = find_address(options.host, options.port)
        claim.announce(address.url)
        supervisor = Supervisor(output, hold_fds=(claim.guards_fd,))
        try:
            with supervisor:
                _start(supervisor, options, claim, address)
                output.say(f"ready at {address.url}")
                output.say(f"data in {data_dir}, API key in {state.api_access_path(data_dir)}; Ctrl-C stops everything")
                output.say(f"next, in another terminal: {_elsewhere(data_dir)}discovery doctor")
                supervisor.run_until_stopped()
        except StopRequested:
            output.say("killed" if supervisor.was_killed else "stopped")
        except ProgramFailed as error:
            output.say(str(error))
            return 1
    return 1 if supervisor.was_killed else 0


def _elsewhere(data_dir: Path) -> str:
    """What a command needs to be told to find a stack that does not work in the usual place."""
    is_usual = data_dir == get_settings().local.data_dir.absolute()
    return "" if is_usual else f"DISCOVERY__LOCAL__DATA_DIR={shlex.quote(str(data_dir))} "


def _start(supervisor: Supervisor, options: StackOptions, claim: state.Claim, address: Address) -> None:
    """Bring everything up, in the order in which each needs the other, until the API can serve."""
    owner_url, service_url = _start_postgres(supervisor, options, claim.data_dir)
    redis_url = _start_redis(supervisor, options, claim.data_dir)
    secret = options.environment.get(services.KEY_SECRET) or state.get_secret(claim.data_dir)
    supervisor.run_beside(lambda: upgrade(owner_url, service_url))
    supervisor.run_beside(lambda: _issue_key(service_url, claim.data_dir, address.url, secret))
    settings = services.stack_settings(
        claim.data_dir,
        database_url=service_url,
        redis_url=redis_url,
        slots=options.slots,
    )
    recorded = find_address("127.0.0.1", 0)
    programs = services.service_programs(options.entry, options.environment, settings, address, recorded, secret)
    supervisor.start(*programs)
    supervisor.run_beside(lambda: _wait_for("The API", address.is_ready))


def _start_postgres(supervisor: Supervisor, options: StackOptions, data_dir: Path) -> tuple[str, str]:
    """The owner's and the service's URL, of our server or of the one that was given."""
    if options.database_url is not None:
        return options.owner_url or options.database_url, options.database_url
    postgres = prepare_postgres(data_dir, durable=True, run=supervisor.run)
    supervisor.start(postgres.program(), before_restart=lambda: postgres.clear_leftovers(wait_s=0))
    supervisor.run_beside(lambda: _wait_for("postgres", postgres.is_ready))
    return postgres.owner_url, postgres.service_url


def _start_redis(supervisor: Supervisor, options: StackOptions, data_dir: Path) -> str:
    """The broker's URL, of our server or of the one that was given."""
    given_url = options.redis_url
    if given_url is not None:
        supervisor.run_beside(lambda: _check_broker(given_url))
        return given_url
    redis = prepare_redis(data_dir)
    supervisor.start(redis.program())
    supervisor.run_beside(lambda: _wait_for("redis", redis.is_ready))
    return redis.broker_url


def _wait_for(name: str, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_DEADLINE_S
    while not is_ready():
        if time.monotonic() > deadline:
            raise ProgramFailed(f"{name} was not ready after {READY_DEADLINE_S:g} s; its lines above say why.")
        time.sleep(0.05)


def _check_broker(url: str) -> None:
    try:
        with Connection(verify(url), connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
    except (OperationalError, ValueError) as error:
        raise UsageError(f"Redis cannot be reached: {error}. Check --redis-url.") from error


def _issue_key(database_url: str, data_dir: Path, url: str, secret: str) -> None:
    """Write the API key file for the CLI; a key that an earlier start made is kept while it is valid."""
    access = state.find_api_access(data_dir)
    token = access.api_key if access is not None else ""
    engine = make_engine(database_url, pool_size=1)
    try:
        with Session(engine) as session, session.begin():
            if find_principal(session, token, secret) is None:
                _, token = create_key(session, name="local stack", scopes=[Scope.ADMIN], secret=secret)
    finally:
        engine.dispose()
    state.write_api_access(data_dir, state.ApiAccess(url, token, database_url))
