"""Runs campaigns of the benchmark on the local stack, one at a time, so that what its slots do is theirs alone."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

from sqlalchemy.orm import Session

from benchmarks.kept import Kept
from benchmarks.local_stack import LocalStack
from benchmarks.search_by_hand import write_campaign
from benchmarks.search_plan import SLOTS, Case
from benchmarks.search_reading import read_outcome
from discovery_service.client.models import Campaign


class NotCompleted(Exception):
    """The campaign came to another end, or stands still until somebody looks after it."""


def run_cases(stack: LocalStack, kept: Kept, cases: Sequence[Case], *, until: float) -> list[str]:
    """Until that moment of the monotonic clock more are begun. Which could not be completed, and why."""
    begun = _find_begun(stack, cases)
    problems = []
    for number, case in enumerate(cases):
        if monotonic() >= until:
            break
        _say(f"{number + 1} of {len(cases)}: {case}")
        try:
            outcome = kept.get(case.key, partial(_measure, stack, case, begun))
            _say(outcome["reason"])
        except NotCompleted as error:
            problems.append(f"{case}: {error}")
            _say(problems[-1])
    return problems


def _say(what: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", file=sys.stderr, flush=True)


def _find_begun(stack: LocalStack, cases: Sequence[Case]) -> dict[str, Campaign]:
    """By name, those of an earlier run: they go on. What it has left of other cases would train beside these."""
    campaigns = [each for each in stack.client.campaigns.list() if each.status != "cancelled"]
    names = {case.name for case in cases}
    for each in campaigns:
        if each.name not in names and not each.has_ended:
            stack.client.campaigns.cancel(each.id)
    return {each.name: each for each in campaigns}


def _measure(stack: LocalStack, case: Case, begun: Mapping[str, Campaign]) -> dict[str, Any]:
    found = begun.get(case.name)
    campaign = _begin(stack, case) if found is None else found
    if campaign.status == "paused":
        stack.client.campaigns.resume(campaign.id)
    ended = campaign if campaign.has_ended else _follow(stack, campaign)
    if ended.status != "completed":
        raise NotCompleted(f"campaign {ended.id} is {ended.status}: {ended.status_reason}")
    with Session(stack.engine) as session:
        return read_outcome(session, ended.id, slots=SLOTS, was_alone=found is None)


def _begin(stack: LocalStack, case: Case) -> Campaign:
    if not case.given:
        return stack.client.campaigns.create(name=case.name, spec=case.spec)
    with Session(stack.engine) as session, session.begin():
        campaign_id = write_campaign(session, case)
    return stack.client.campaigns.read(campaign_id)


def _follow(stack: LocalStack, campaign: Campaign) -> Campaign:
    """Until it has ended, or was paused: nobody is there to resume it."""
    with closing(stack.client.events.stream(campaign.id)) as stream:
        for event in stream:
            if event.kind.startswith("campaign."):
                known = stack.client.campaigns.read(campaign.id)
                if known.has_ended or known.status == "paused":
                    return known
    raise AssertionError("a stream of events has no end")
