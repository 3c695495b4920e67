"""Connections of the service: always in the restricted role, never idle inside a transaction for long."""

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

SERVICE_ROLE = "discovery_service"

Sessions = sessionmaker[Session]


def make_engine(url: str, *, pool_size: int) -> Engine:
    """An engine whose connections hold the service's rights, also where the URL logs in as somebody mightier."""
    options = ["-c idle_in_transaction_session_timeout=30s", "-c timezone=utc"]
    if make_url(url).username != SERVICE_ROLE:
        options.append(f"-c role={SERVICE_ROLE}")
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        connect_args={"options": " ".join(options), "connect_timeout": 5},
    )


def make_sessions(url: str, *, pool_size: int) -> Sessions:
    return sessionmaker(make_engine(url, pool_size=pool_size), expire_on_commit=False)
