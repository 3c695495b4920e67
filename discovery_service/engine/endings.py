"""The end of a campaign: what was confirmed, now and before it was extended, what is lacking, which loss is best."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.standings import read_standings
from discovery_service.db.tables import Arena, Campaign, CampaignProgress, Candidate, Finalist, Freeze, Standing
from discovery_service.domain.authors import Author
from discovery_service.domain.budget import Bound, tell_reached
from discovery_service.domain.freezing import Role, pick_best
from discovery_service.domain.intervals import Interval
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.outcomes import tell_discoveries, tell_found_before
from discovery_service.domain.states import Purpose
from discovery_service.domain.verdicts import Verdict
from discovery_service.engine.campaigns import complete_campaign
from discovery_service.engine.confirm import Confirmation, score_confirmed


class Apart(NamedTuple):
    """How it stands in a held-out arena."""

    is_settled: bool
    lack: str | None = None
    """What is not confirmed there though it is settled, and why."""


class Name(NamedTuple):
    """Who found it is said with every find: a recording's was found in no search of this campaign."""

    name: str
    author: Author

    def __str__(self) -> str:
        return f"{self.name} ({self.author})"


class Confirmed(NamedTuple):
    """A finalist with an interval."""

    name: Name
    interval: Interval
    verdict: str | None


def end_confirmed(
    session: Session,
    campaign: Campaign,
    frozen: Freeze,
    confirmation: Confirmation,
    apart: Mapping[str, Apart],
    overrun: Bound | None,
) -> None:
    """By what the confirmation in its search arena has found, if anything."""
    scores = score_confirmed(confirmation)
    names = _read_names(session, [each.candidate_id for each in confirmation.losses if each.role is Role.FINALIST])
    told = {
        key: Confirmed(name, interval, scores[key].verdict)
        for key, name in names.items()
        if (interval := scores[key].interval) is not None
    }
    late = "" if overrun is None else tell_reached(overrun)
    reason = tell_discoveries(
        _list_told({key: each for key, each in told.items() if each.verdict == Verdict.BETTER}),
        reference=REFERENCE_LOSSES[campaign.spec["family"]],
        arena=confirmation.arena.name,
        looked_at=confirmation.plan.looked_at,
        unjudged=sorted(str(name) for key, name in names.items() if scores[key].verdict is None),
        why=None if confirmation.is_settled else f"as {late} before all of it was measured",
    )
    before = _list_found_before(session, campaign, frozen.arena_id, frozen.extension)
    reason += tell_found_before(_list_told(before))
    for name, each in apart.items():
        lacks = [*([each.lack] if each.lack else []), *([] if each.is_settled else [late])]
        reason += f" Not confirmed in {name}: {'; '.join(lacks)}." if lacks else ""
    best = _find_best(session, campaign, {**before, **told})
    complete_campaign(session, campaign, _tell_extension(campaign, frozen) + reason, best)


def end_unconfirmed(session: Session, campaign: Campaign, arena: Arena, reason: str) -> None:
    """Without a confirmation of what is new: what was confirmed before it stands, else what was screened."""
    before = _list_found_before(session, campaign, arena.id, campaign.extension)
    said = f"Extension {campaign.extension}. " if campaign.extension else ""
    best = _find_best(session, campaign, before)
    complete_campaign(session, campaign, said + reason + tell_found_before(_list_told(before)), best)


def _tell_extension(campaign: Campaign, frozen: Freeze) -> str:
    if frozen.extension == campaign.extension:
        return f"Extension {campaign.extension}. " if campaign.extension else ""
    return f"Extension {campaign.extension} has no new finalist, so that what was frozen before it stands. "


def _list_found_before(session: Session, campaign: Campaign, arena_id: UUID, extension: int) -> dict[UUID, Confirmed]:
    """Discoveries of earlier extensions that this one has not confirmed anew."""
    finalists = (
        select(Finalist.candidate_id)
        .join(Freeze, Freeze.id == Finalist.freeze_id)
        .where(Freeze.campaign_id == campaign.id, Freeze.arena_id == arena_id, Freeze.extension < extension)
        .where(Finalist.role == Role.FINALIST.value)
    )
    keys = session.scalars(finalists.distinct()).all()
    stand = read_standings(session, keys, Standing.arena_id == arena_id, with_figures=False)
    found = {
        key: each
        for (key, stage), each in stand.items()
        if stage is Purpose.CONFIRM and each.extension < extension and each.verdict == Verdict.BETTER
    }
    names = _read_names(session, found)
    return {key: Confirmed(names[key], _read_interval(each), each.verdict) for key, each in found.items()}


def _read_interval(stands: Standing) -> Interval:
    assert stands.difference is not None, "of what is better than another"
    return Interval(stands.difference, stands.lower, stands.upper, stands.draws)


def _list_told(found: Mapping[UUID, Confirmed]) -> list[tuple[str, Interval]]:
    """In the order of the board, whatever the rows' is."""
    told = [(str(each.name), each.interval) for each in found.values()]
    return sorted(told, key=lambda each: (-(each[1].low or 0.0), each[0]))


def _read_names(session: Session, candidate_ids: Collection[UUID]) -> dict[UUID, Name]:
    query = select(Candidate.id, Candidate.name, Candidate.author).where(Candidate.id.in_(candidate_ids))
    return {row.id: Name(row.name, row.author) for row in session.execute(query)}


def _find_best(session: Session, campaign: Campaign, confirmed: Mapping[UUID, Confirmed]) -> dict[str, Any] | None:
    """A discovery where there is one, as what leaves the campaign is; without a confirmation what it was before."""
    discoveries = {key: each for key, each in confirmed.items() if each.verdict == Verdict.BETTER}
    among = discoveries or confirmed
    for best in pick_best({key: each.interval for key, each in among.items()}, 1):
        (name, author), interval, verdict = among[best]
        difference = {"difference": interval.mean, "lower": interval.low, "upper": interval.high}
        named = {"candidate_id": str(best), "name": name, "author": author}
        return {**named, **difference, "stage": Purpose.CONFIRM.value, "verdict": verdict}
    return session.get_one(CampaignProgress, campaign.id, populate_existing=True).best
