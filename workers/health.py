"""A container's health check: `python -m workers.health gate` ends with 0 while this host's worker of the kind lives.

Beat has no row in the fleet: its check asks whether the broker takes messages, and its process is for others to watch.
"""

import argparse
import sys

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from discovery_service.db.sessions import make_sessions
from discovery_service.db.tables import Worker
from discovery_service.engine.bell import make_bell
from discovery_service.engine.workers import LOST_AFTER
from discovery_service.errors import UsageError
from discovery_service.settings import get_settings, required
from workers.kinds import default_name


def find_fault(part: str) -> str | None:
    """Why the part of the service on this host is not healthy; None when it is."""
    settings = get_settings()
    if part == "beat":
        bell = make_bell(required(settings.redis.url, "DISCOVERY__REDIS__URL"))
        return None if bell.is_heard() else "the broker does not answer"
    name = default_name(part)
    is_seen = select(Worker.id).where(
        Worker.name == name, Worker.stopped_at.is_(None), Worker.seen_at > func.now() - LOST_AFTER
    )
    sessions = make_sessions(required(settings.db.url, "DISCOVERY__DB__URL"), pool_size=1)
    try:
        with sessions() as session:
            return None if session.scalar(is_seen) else f"no worker {name} was seen in the last {LOST_AFTER.seconds} s"
    except DBAPIError as error:
        return f"the database does not answer: {error.orig}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers.health", description=__doc__)
    parser.add_argument("part", choices=("propose", "gate", "evaluate", "beat"))
    part = parser.parse_args().part
    try:
        fault = find_fault(part)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{part} is not healthy: {fault}\n" if fault else f"{part} is healthy\n")
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
