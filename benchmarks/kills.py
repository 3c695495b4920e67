"""Whether a campaign comes to the same when its services are killed: `python -m benchmarks.kills`.

The campaign of 30 candidates of `benchmarks.search` runs twice, each time on a local stack of its own: undisturbed with
one slot, and with two slots while the API, each worker, Redis and PostgreSQL are killed (`kill -9`) in turn, the next
one some trainings after the service is ready again. Then the final rows are compared, all but ids and times.

Half an hour of two cores. What was killed after how many evaluations, and what differs, goes to stdout as JSON.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from benchmarks.final_rows import FinalRows, read_rows
from benchmarks.local_stack import LocalStack, running_stack
from benchmarks.search_plan import Case, Part
from discovery_service.client import DiscoveryError
from discovery_service.db.tables import Campaign, CampaignProgress
from discovery_service.domain.campaign import StrategyName
from discovery_service.domain.states import CampaignStatus, is_final
from discovery_service.local.guard import find_children

VICTIMS = ("api", "evaluate", "gate", "propose", "redis", "postgres", "beat")
APART = 15
"""Evaluations from one kill to the next, and before the first."""
LOOK_EVERY_S = 0.2
Seen = TypeVar("Seen")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Path("build/kills"), type=Path, help="of the two stacks; made anew")
    data = parser.parse_args(argv).data
    shutil.rmtree(data, ignore_errors=True)
    undisturbed, _ = run(data / "undisturbed", slots=1, victims=())
    disturbed, killed = run(data / "disturbed", slots=2, victims=VICTIMS)
    differing = disturbed.list_differing(undisturbed)
    sizes = {name: len(rows) for name, rows in undisturbed._asdict().items()}
    print(json.dumps({"killed": killed, "rows": sizes, "reason": undisturbed.reason, "differing": differing}, indent=2))
    if differing:
        sys.exit(f"Not the same: {', '.join(differing)}.")


def run(data: Path, *, slots: int, victims: Sequence[str]) -> tuple[FinalRows, list[dict[str, Any]]]:
    """The rows, and whom it has killed after how many evaluations."""
    case = Case(Part.SLOTS, "panel:mini", StrategyName.EVOLVE, 0)
    with running_stack(data, slots=slots) as stack:
        campaign_id = stack.client.campaigns.create(name=f"killed: {victims}", spec=case.spec).id
        left, killed = list(victims), []
        next_at = APART
        while not _look(stack, lambda session: is_final(session.get_one(Campaign, campaign_id).status)):
            done = _look(stack, lambda session: session.get_one(CampaignProgress, campaign_id).evaluations)
            if left and done is not None and done >= next_at and _is_ready(stack):
                killed.append({"who": left[0], "evaluations": done})
                os.kill(_find_program(stack.supervisor, left.pop(0)), signal.SIGKILL)
                next_at = done + APART
            time.sleep(LOOK_EVERY_S)
        if left:
            sys.exit(f"The campaign ended before {', '.join(left)} could be killed.")
        with Session(stack.engine) as session:
            status, reason = session.execute(
                select(Campaign.status, Campaign.status_reason).where(Campaign.id == campaign_id)
            ).one()
            if status is not CampaignStatus.COMPLETED:
                sys.exit(f"The campaign is {status}: {reason}")
            return read_rows(session, campaign_id), killed


def _look(stack: LocalStack, read: Callable[[Session], Seen]) -> Seen | None:
    """None while nobody answers, as where the database was killed."""
    with suppress(DBAPIError), Session(stack.engine) as session:
        return read(session)
    return None


def _is_ready(stack: LocalStack) -> bool:
    with suppress(DiscoveryError):
        return stack.client.service.readiness().status == "ready"
    return False


def _find_program(supervisor: int, name: str) -> int:
    """Below its guard, which the supervisor has started and which was told what to run: programs rename themselves."""
    children = find_children()
    for guard in children.get(supervisor, []):
        words = Path(f"/proc/{guard}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
        told = words[words.index("--") + 1 :] if "--" in words else []
        if told and (name in told or Path(told[0]).name in (name, f"{name}-server")):
            [program] = children[guard]
            return program
    sys.exit(f"{name} does not run.")


if __name__ == "__main__":
    main()
