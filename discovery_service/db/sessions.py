"""Connections of the service: always in the restricted role, never idle inside a transaction for long."""

from psycopg import OperationalError
from psycopg.errors import (
    AdminShutdown,
    CannotConnectNow,
    CrashShutdown,
    DeadlockDetected,
    DiskFull,
    LockNotAvailable,
    OutOfMemory,
    SerializationFailure,
    TooManyConnections,
)
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

SERVICE_ROLE = "discovery_service"

Sessions = sessionmaker[Session]

# Of a server that vanished without a word the kernel knows after 15 s at the latest; by default it takes 2 h.
NOTICE_DEAD_SERVERS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}

_SERVER_ENDS = (AdminShutdown, CrashShutdown, CannotConnectNow)
_SERVER_IS_FULL = (TooManyConnections, DiskFull, OutOfMemory)
_OTHERS_WERE_FIRST = (DeadlockDetected, LockNotAvailable, SerializationFailure)
_PASSING = _SERVER_ENDS + _SERVER_IS_FULL + _OTHERS_WERE_FIRST


def make_engine(url: str, *, pool_size: int, lock_timeout_s: float = 10) -> Engine:
    """An engine whose connections hold the service's rights, also where the URL logs in as somebody mightier."""
    options = [
        "-c idle_in_transaction_session_timeout=30s",
        f"-c lock_timeout={lock_timeout_s * 1000:.0f}ms",
        "-c timezone=utc",
    ]
    if make_url(url).username != SERVICE_ROLE:
        options.append(f"-c role={SERVICE_ROLE}")
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        connect_args={"options": " ".join(options), **NOTICE_DEAD_SERVERS},
    )


def max_connections(sessions: Sessions) -> int:
    """How many connections the sessions can hold at once."""
    pool = sessions.kw["bind"].pool
    return int(pool.size()) * 2  # with the overflow of `make_engine`


def make_sessions(url: str, *, pool_size: int, lock_timeout_s: float = 10) -> Sessions:
    engine = make_engine(url, pool_size=pool_size, lock_timeout_s=lock_timeout_s)
    return sessionmaker(engine, expire_on_commit=False)


def limit_statements(session: Session, timeout_s: float) -> None:
    """Let no statement of this transaction take longer."""
    session.execute(select(func.set_config("statement_timeout", f"{timeout_s * 1000:.0f}ms", True)))


def passes_by_itself(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed when tried again: the server was away or full, or others were first."""
    cause = error.orig
    # The driver's own words, as of a refused connection, have no code; those of the server have.
    is_unreached = isinstance(cause, OperationalError) and cause.sqlstate is None
    return error.connection_invalidated or is_unreached or isinstance(cause, _PASSING)
