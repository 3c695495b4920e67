"""The second stage: finalists and references are written down with their settings and sealed, before any confirmation.

The family's reference at each setting between which its tuning chose, everybody else at the chosen one; references also
for as many steps as a finalist has. One freeze an arena and extension.
In a held-out arena it is of the same losses, at the settings to which they were tuned there.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, Campaign, Candidate, Finalist, Freeze, Seal
from discovery_service.domain.arenas import list_base_policies
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.freezing import (
    ConfirmationPlan,
    Frozen,
    Role,
    SdSource,
    find_digest,
    pick_best,
    plan_confirmation,
)
from discovery_service.domain.measuring import Setting
from discovery_service.domain.standings import OwnSpread
from discovery_service.engine.arenas import list_arenas_of
from discovery_service.engine.entries import Entry, Field
from discovery_service.engine.events import record
from discovery_service.engine.screen import find_library, find_screened_spread, is_screened, score_field
from discovery_service.engine.spending import find_allowance, find_allowance_apart
from discovery_service.errors import Conflict


class Chosen(NamedTuple):
    role: Role
    entry: Entry
    settings: tuple[Setting, ...]
    """The chosen one first."""


def find_freeze(session: Session, campaign: Campaign, arena_id: UUID, extension: int | None = None) -> Freeze | None:
    """Of this extension; without one, of the campaign as it is extended now."""
    extended = campaign.extension if extension is None else extension
    where = (Freeze.campaign_id == campaign.id, Freeze.arena_id == arena_id, Freeze.extension == extended)
    return session.scalar(select(Freeze).where(*where))


def find_last_freeze(session: Session, campaign: Campaign, arena_id: UUID) -> Freeze | None:
    """Also of an earlier extension, as one that found no finalist has none."""
    where = (Freeze.campaign_id == campaign.id, Freeze.arena_id == arena_id)
    return session.scalars(select(Freeze).where(*where).order_by(Freeze.extension.desc()).limit(1)).first()


def freeze_search(session: Session, campaign: Campaign, spec: CampaignSpec, field: Field) -> Freeze | None:
    """Of the search arena. None where there is no finalist. Conflict while somebody is not screened yet, TooFewDraws
    where the budget leaves no confirmation.
    """
    if not is_screened(field):
        raise Conflict("Some candidates are still tuned or screened; finalists are chosen once all have come as far.")
    chosen = choose(field, spec.confirmation.finalists)
    if chosen is None:
        return None
    plan = plan_search(session, campaign, spec, field, chosen, campaign.extension)
    return _freeze(session, campaign.id, field.arena, chosen, plan, campaign.extension)


def has_new_finalist(session: Session, before: Freeze, spec: CampaignSpec, field: Field) -> bool:
    """Whether an extension has found what was not confirmed before it, or the same at another setting.

    However many were looked at since: of a hopeless one nothing follows for those that were ahead of it already.
    """
    if read_plan(before).looked_at == field.looked_at:
        return False
    chosen = choose(field, spec.confirmation.finalists)
    confirmed = {(each.candidate_id, Setting(**each.setting)) for each in list_frozen(session, before)}
    wanted = {(each.entry.candidate_id, each.settings[0]) for each in chosen or () if each.role is Role.FINALIST}
    return chosen is None or not wanted <= confirmed


def freeze_held_out(
    session: Session, campaign: Campaign, spec: CampaignSpec, field: Field, search: Freeze
) -> Freeze | None:
    """Of the same losses, tuned in this arena. None where the reference or every finalist failed at every setting;
    TooFewDraws where the budget leaves no confirmation.
    """
    if not is_screened(field):
        raise Conflict("Some finalists are still tuned in this arena.")
    chosen = choose_again(field, list_frozen(session, search))
    if chosen is None:
        return None
    plan = plan_held_out(session, campaign, spec, field.arena, chosen, read_plan(search), search.extension)
    return _freeze(session, campaign.id, field.arena, chosen, plan, search.extension)


def list_frozen(session: Session, freeze: Freeze) -> Sequence[Finalist]:
    return session.scalars(select(Finalist).where(Finalist.freeze_id == freeze.id)).all()


def list_left_out(session: Session, search: Freeze, held_out: Freeze) -> Sequence[str]:
    """Names of those that could not be tuned in a held-out arena, and so are not frozen there."""
    there = select(Finalist.candidate_id).where(Finalist.freeze_id == held_out.id)
    query = select(Candidate.name).join(Finalist, Finalist.candidate_id == Candidate.id).distinct()
    query = query.where(Finalist.freeze_id == search.id, Candidate.id.not_in(there))
    return session.scalars(query.order_by(Candidate.name)).all()


def choose(field: Field, finalists: int) -> list[Chosen] | None:
    """The proposed losses with the highest lower bounds, the reference, and the best other of the library by the same.

    None where no proposed loss has an interval.
    """
    scores = score_field(field)
    intervals = {key: score.interval for key, score in scores.items() if score.interval is not None}
    by_id = {entry.candidate_id: entry for entry in field.entries}
    proposed = {key: interval for key, interval in intervals.items() if not by_id[key].is_known}
    library = {key: interval for key, interval in intervals.items() if by_id[key].author is Author.LIBRARY}
    best = pick_best(proposed, finalists)
    reference = field.reference
    if not best or reference is None:
        return None
    references = [reference.candidate_id, *pick_best(library, 1)]
    roles = [*((Role.FINALIST, key) for key in best), *((Role.REFERENCE, key) for key in references)]
    return _meet_longest([Chosen(role, by_id[key], _find_settings(by_id[key])) for role, key in roles])


def choose_again(field: Field, frozen: Sequence[Finalist]) -> list[Chosen] | None:
    """The same in a held-out arena; None without the reference or any finalist that was tuned there."""
    roles = {each.candidate_id: Role(each.role) for each in frozen}
    tuned = [Chosen(roles[entry.candidate_id], entry, _find_settings(entry)) for entry in field.entries]
    chosen = _meet_longest([each for each in tuned if each.settings])
    has_finalist = any(each.role is Role.FINALIST for each in chosen)
    return chosen if has_finalist and any(each.entry.is_reference for each in chosen) else None


def _find_settings(entry: Entry) -> tuple[Setting, ...]:
    settings = entry.course.tuning.settings
    return settings if entry.is_reference else settings[:1]


def _meet_longest(chosen: list[Chosen]) -> list[Chosen]:
    """References also for as many steps as the longest finalist, where that has more than they.

    A loss without beta may be tuned to twice the steps of one with it, which in some arenas is a gain for any loss: in
    `outcome:mini` .25 for the reference itself.
    """
    most = max((each.settings[0].steps for each in chosen if each.role is Role.FINALIST), default=0)
    return [
        each._replace(settings=(*each.settings, replace(each.settings[0], steps=most)))
        if each.role is Role.REFERENCE and all(setting.steps < most for setting in each.settings)
        else each
        for each in chosen
    ]


def _count_frozen(chosen: Sequence[Chosen]) -> int:
    """Trainings a draw."""
    return sum(len(each.settings) for each in chosen)


def plan_search(
    session: Session, campaign: Campaign, spec: CampaignSpec, field: Field, chosen: Sequence[Chosen], extension: int
) -> ConfirmationPlan:
    """TooFewDraws where the budget leaves no confirmation."""
    arenas, rounds = list_arenas_of(session, campaign.id, spec), {entry.round_number for entry in field.entries}
    allowance = find_allowance(session, campaign.id, spec, arenas, extension, rounds)
    plan = _plan(spec, field.arena, chosen, field.looked_at, find_screened_spread(field), allowance)
    return plan if allowance is None else replace(plan, spare=allowance - plan.draws * _count_frozen(chosen))


def plan_held_out(
    session: Session,
    campaign: Campaign,
    spec: CampaignSpec,
    arena: Arena,
    chosen: Sequence[Chosen],
    searched: ConfirmationPlan,
    extension: int,
) -> ConfirmationPlan:
    """TooFewDraws where the budget leaves no confirmation."""
    allowance = None
    if searched.spare is not None:
        held_out = list_arenas_of(session, campaign.id, spec)[1:]
        allowance = find_allowance_apart(session, campaign.id, spec, arena, held_out, searched.spare, extension)
    return _plan(spec, arena, chosen, searched.looked_at, None, allowance)


def _plan(
    spec: CampaignSpec,
    arena: Arena,
    chosen: Sequence[Chosen],
    looked_at: int,
    own: OwnSpread | None,
    allowance: int | None,
) -> ConfirmationPlan:
    """`own` is what the screen shows, for an arena that nobody has calibrated; `allowance` in evaluations."""
    library = find_library(arena)
    if library is not None:
        sd, source = library["sd"], SdSource.CALIBRATION
    elif own is not None:
        sd, source = own.sd, SdSource.OWN_SCREEN
    else:
        sd, source = None, SdSource.NOTHING
    return plan_confirmation(
        detect=spec.confirmation.detect,
        at_least=spec.confirmation.min_draws,
        sd=sd,
        sd_source=source,
        finalists=sum(each.role is Role.FINALIST for each in chosen),
        looked_at=looked_at,
        base_policies=list_base_policies(arena.spec),
        met=max(len(each.settings) for each in chosen if each.entry.is_reference),
        at_most=None if allowance is None else allowance // _count_frozen(chosen),
    )


def _freeze(
    session: Session,
    campaign_id: UUID,
    arena: Arena,
    chosen: Sequence[Chosen],
    plan: ConfirmationPlan,
    extension: int,
) -> Freeze:
    frozen = Freeze(campaign_id=campaign_id, arena_id=arena.id, extension=extension, plan=asdict(plan))
    session.add(frozen)
    session.flush()
    for each in chosen:
        columns = {"freeze_id": frozen.id, "candidate_id": each.entry.candidate_id, "role": each.role.value}
        rows = [Finalist(**columns, rank=rank, setting=at.document()) for rank, at in enumerate(each.settings)]
        session.add_all(rows)
    session.flush()
    session.add(Seal(freeze_id=frozen.id, digest=find_digest_of(session, frozen)))
    finalists = [each.entry.name for each in chosen if each.role is Role.FINALIST]
    record(session, campaign_id, "freeze.sealed", frozen.id, arena=arena.name, finalists=finalists, draws=plan.draws)
    session.flush()
    return frozen


def find_digest_of(session: Session, freeze: Freeze) -> str:
    """What its seal says, or would have to say: by what stands in the rows now."""
    arena, campaign = session.get_one(Arena, freeze.arena_id), session.get_one(Campaign, freeze.campaign_id)
    query = (
        select(Finalist.role, Candidate.graph_sha256, Finalist.setting)
        .join(Candidate, Candidate.id == Finalist.candidate_id)
        .where(Finalist.freeze_id == freeze.id)
    )
    plan = read_plan(freeze)
    return find_digest(
        [Frozen(Role(role), graph, Setting(**setting)) for role, graph, setting in session.execute(query)],
        arena_sha256=arena.content_sha256,
        seed=campaign.spec["seed"],
        base_policies=plan.base_policies,
        draws=plan.draws,
        extension=freeze.extension,
    )


def read_plan(freeze: Freeze) -> ConfirmationPlan:
    stored = freeze.plan | {"base_policies": tuple(freeze.plan["base_policies"])}
    return ConfirmationPlan(**stored | {"sd_source": SdSource(freeze.plan["sd_source"])})
