"""How soon a campaign stops and goes on when it is told to: `python -m benchmarks.stops`.

A campaign in `terse:base`, whose trainings take many seconds, on a local stack with two slots: paused while both train,
resumed, and cancelled while both train. Seconds from each request to what it is to bring about go to stdout as JSON,
some minutes later; beside them how long a training takes that nobody stops.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from benchmarks.local_stack import LocalStack, running_stack
from discovery_service.db.tables import Campaign, Evaluation
from discovery_service.domain.states import CampaignStatus, EvaluationStatus

SLOTS = 2
SPEC = {
    "arena": "terse:base",
    "library": ["dpo", "ipo", "slic", "simpo"],
    "proposers": [{"kind": "symbolic"}],
    "budgets": {"candidates": 4},
}
LOOK_EVERY_S = 0.05
WITHIN_S = 300.0
QUIET_S = 5.0
"""How long nothing may begin before it counts as stopped."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Path("build/stops"), type=Path, help="of the stack; made anew")
    data = parser.parse_args(argv).data
    shutil.rmtree(data, ignore_errors=True)
    with running_stack(data, slots=SLOTS) as stack:
        print(json.dumps(_measure(stack, stack.client.campaigns.create(name="stops", spec=SPEC).id), indent=2))


def _measure(stack: LocalStack, campaign_id: UUID) -> dict[str, Any]:
    running = Evaluation.status == EvaluationStatus.RUNNING
    _wait(lambda: _count(stack, running) == SLOTS)
    paused_at = _now(stack)
    stack.client.campaigns.pause(campaign_id)
    _wait(lambda: _count(stack, running) == 0)
    time.sleep(QUIET_S)
    last_begun = _newest(stack, Evaluation.started_at)
    after_pause = {
        "last_begun_after_s": max((last_begun - paused_at).total_seconds(), 0.0),
        "finished": _count(
            stack, (Evaluation.status == EvaluationStatus.SUCCEEDED) & (Evaluation.finished_at > paused_at)
        ),
        "cut_short": _count(stack, Evaluation.status.in_((EvaluationStatus.CANCELLED, EvaluationStatus.FAILED))),
    }
    resumed_at = _now(stack)
    stack.client.campaigns.resume(campaign_id)
    _wait(lambda: _count(stack, running) == SLOTS)
    resumed_s = (_newest(stack, Evaluation.started_at) - resumed_at).total_seconds()
    time.sleep(QUIET_S)
    _wait(lambda: _count(stack, running) == SLOTS)
    cancelled_at = _now(stack)
    stack.client.campaigns.cancel(campaign_id)
    _wait(lambda: _count(stack, running) == 0)
    freed_s = (_newest(stack, Evaluation.finished_at) - cancelled_at).total_seconds()
    _wait(lambda: _status(stack, campaign_id) is CampaignStatus.CANCELLED)
    return {"pause": after_pause, "resume_s": resumed_s, "cancel_s": freed_s, "training_s": _find_mean_s(stack)}


def _wait(look: Callable[[], bool]) -> None:
    ends = time.monotonic() + WITHIN_S
    while not look():
        if time.monotonic() > ends:
            raise SystemExit(f"What was waited for did not come within {WITHIN_S:g} s.")
        time.sleep(LOOK_EVERY_S)


def _count(stack: LocalStack, which: ColumnElement[bool]) -> int:
    with Session(stack.engine) as session:
        return session.scalar(select(func.count(Evaluation.id)).where(which)) or 0


def _newest(stack: LocalStack, column: Any) -> datetime:
    with Session(stack.engine) as session:
        found: datetime = session.execute(select(func.max(column))).scalar_one()
        return found


def _now(stack: LocalStack) -> datetime:
    """By the clock that all rows have."""
    with Session(stack.engine) as session:
        return session.execute(select(func.clock_timestamp())).scalar_one()


def _status(stack: LocalStack, campaign_id: UUID) -> CampaignStatus:
    with Session(stack.engine) as session:
        return session.get_one(Campaign, campaign_id).status


def _find_mean_s(stack: LocalStack) -> float:
    with Session(stack.engine) as session:
        return float(session.scalar(select(func.avg(Evaluation.device_seconds))) or 0)


if __name__ == "__main__":
    main()
