"""Replays what was decided by measurements: halvings, what was to be trained, freezes with their draws, standings."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, Campaign, Candidate, Evaluation, Event, Finalist, Freeze, Seal, Standing
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.freezing import (
    ConfirmationPlan,
    Frozen,
    TooFewDraws,
    find_digest,
    list_confirm_draws,
)
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.states import CampaignStatus, EvaluationStatus, Purpose
from discovery_service.engine.arenas import get_arena_of
from discovery_service.engine.entries import Field, read_field
from discovery_service.engine.findings import Findings, What
from discovery_service.engine.freeze import (
    Chosen,
    choose,
    choose_again,
    find_freeze,
    list_frozen,
    plan_held_out,
    plan_search,
    read_plan,
)
from discovery_service.engine.history import History
from discovery_service.engine.rounds import read_rounds
from discovery_service.engine.screen import find_stopped
from discovery_service.engine.standings import Board, score_boards, tell_score
from discovery_service.engine.work import EVALUATION


def replay_verdicts(session: Session, campaign: Campaign, history: History, findings: Findings) -> None:
    if not read_rounds(session, campaign.id):
        return
    spec = CampaignSpec.model_validate(campaign.spec)
    arena = get_arena_of(session, campaign.id, spec.arena)
    field = read_field(session, campaign.id, spec, arena)
    _replay_halvings(session, campaign, field, findings)
    _replay_trainings(campaign, field, findings)
    for freeze in session.scalars(select(Freeze).where(Freeze.campaign_id == campaign.id).order_by(Freeze.id)).all():
        _replay_freeze(session, campaign, history, field, freeze, findings)
    _replay_standings(session, campaign, findings)


def _replay_halvings(session: Session, campaign: Campaign, field: Field, findings: Findings) -> None:
    stopped = {each.id: each.stopped_slots for each in read_rounds(session, campaign.id).values()}
    tried_again = _list_tried_again(session, campaign)
    for round_id, group in groupby(field.entries, key=lambda entry: entry.round_id):
        entries = list(group)
        number = entries[0].round_number
        if number == LIBRARY_ROUND or stopped[round_id] is None:
            continue
        if any(each.candidate_id in tried_again for each in entries):
            findings.note(
                f"A training in round {number} was tried again after the service had given up on it; who was stopped"
                " before that is taken as it stands."
            )
        else:
            findings.compare(What.HALVING, f"round {number}", stopped[round_id], find_stopped(entries))


def _list_tried_again(session: Session, campaign: Campaign) -> set[UUID]:
    """Losses that have come further than they had when their round was halved, perhaps."""
    given_up = f"{EVALUATION.name}.{EvaluationStatus.ABANDONED}"
    query = select(Evaluation.candidate_id).join(Event, Event.subject_id == Evaluation.id)
    query = query.where(Event.campaign_id == campaign.id, Event.kind == given_up)
    return set(session.scalars(query.where(Evaluation.status != EvaluationStatus.ABANDONED)))


def _replay_trainings(campaign: Campaign, field: Field, findings: Findings) -> None:
    """Of an ended campaign nobody lacks a training: what was tuned where is what its measurements lead to."""
    if campaign.status is not CampaignStatus.COMPLETED:
        return
    for entry in field.entries:
        lacking = [] if entry.is_stopped else [_tell_training(*each) for each in entry.missing]
        where = f"round {entry.round_number}, slot {entry.slot}, {entry.name}"
        findings.compare(What.TRAININGS, where, [], lacking)


def _tell_training(setting: Any, base_policy: int, draw: Any) -> dict[str, Any]:
    return {"setting": setting.document(), "base_policy": base_policy, "draw": draw.document()}


def _replay_freeze(
    session: Session, campaign: Campaign, history: History, field: Field, freeze: Freeze, findings: Findings
) -> None:
    spec, arena = history.spec_at(freeze.id), session.get_one(Arena, freeze.arena_id)
    names = {entry.candidate_id: entry.name for entry in field.entries}
    stored = _show_stored(session, freeze, names)
    try:
        derived = _derive_freeze(session, campaign, history, field, freeze, arena, spec)
    except TooFewDraws as error:
        derived = str(error)
    findings.compare(What.FREEZE, arena.name, stored, derived)


def _derive_freeze(
    session: Session,
    campaign: Campaign,
    history: History,
    field: Field,
    freeze: Freeze,
    arena: Arena,
    spec: CampaignSpec,
) -> dict[str, Any] | str | None:
    """What would be frozen there; in a sentence why nothing would."""
    if arena.id == field.arena.id:
        before = [entry for entry in field.entries if history.was_before(entry.round_id, freeze.id)]
        known = Field(arena, before)
        chosen = choose(known, spec.confirmation.finalists)
        plan = None if chosen is None else plan_search(session, campaign, spec, known, chosen, freeze.extension)
    else:
        searched = find_freeze(session, campaign, field.arena.id, freeze.extension)
        if searched is None:
            return "nothing was frozen in the arena of the search"
        frozen = list_frozen(session, searched)
        only = [each.candidate_id for each in frozen]
        tuned = read_field(session, campaign.id, spec, arena, only=only, is_held_out=True)
        chosen, sealed = choose_again(tuned, frozen), read_plan(searched)
        plan = (
            None if chosen is None else plan_held_out(session, campaign, spec, arena, chosen, sealed, freeze.extension)
        )
    return None if chosen is None or plan is None else _show_derived(campaign, arena, chosen, plan, freeze.extension)


def _show_stored(session: Session, freeze: Freeze, names: Mapping[UUID, str]) -> dict[str, Any]:
    frozen = session.scalars(select(Finalist).where(Finalist.freeze_id == freeze.id)).all()
    seal = session.get_one(Seal, freeze.id)
    query = select(Evaluation.base_policy, Evaluation.draw).where(Evaluation.seal_id == freeze.id).distinct()
    return {
        "losses": _sorted((each.role, names.get(each.candidate_id), each.rank, each.setting) for each in frozen),
        "plan": freeze.plan,
        "digest": seal.digest,
        "draws": sorted(tuple(row) for row in session.execute(query)),
    }


def _show_derived(
    campaign: Campaign, arena: Arena, chosen: list[Chosen], plan: ConfirmationPlan, extension: int
) -> dict[str, Any]:
    losses = [
        (each.role, each.entry.name, rank, setting.document())
        for each in chosen
        for rank, setting in enumerate(each.settings)
    ]
    digest = find_digest(
        [Frozen(each.role, each.entry.graph_sha256, setting) for each in chosen for setting in each.settings],
        arena_sha256=arena.content_sha256,
        seed=campaign.spec["seed"],
        base_policies=plan.base_policies,
        draws=plan.draws,
        extension=extension,
    )
    draws = list_confirm_draws(digest, plan.base_policies, plan.draws)
    shown = sorted((policy, draw.key) for policy, draw in draws)
    return {"losses": _sorted(losses), "plan": asdict(plan), "digest": digest, "draws": shown}


def _sorted(losses: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(losses, key=lambda each: (str(each[0]), str(each[1]), each[2]))


def _replay_standings(session: Session, campaign: Campaign, findings: Findings) -> None:
    try:
        boards = score_boards(session, campaign)
    # A broken seal too; its freeze is among the differences by now.
    except ValueError as error:
        findings.compare(What.STANDING, "all", "as stored", f"{type(error).__name__}: {error}")
        return
    derived = {(board, key): tell_score(score) for board, scores in boards.items() for key, score in scores.items()}
    query = select(Standing).where(Standing.campaign_id == campaign.id)
    stored = {
        (Board(row.arena_id, Purpose(row.stage), row.extension), row.candidate_id): _show_standing(row)
        for row in session.scalars(query)
    }
    names = dict(
        session.execute(select(Candidate.id, Candidate.name).where(Candidate.campaign_id == campaign.id)).all()
    )
    arenas = dict(session.execute(select(Arena.id, Arena.name)).all())
    for board, key in sorted({*stored, *derived}, key=lambda each: (str(each[0]), str(each[1]))):
        where = f"{names.get(key, key)}, {board.stage} in {arenas[board.arena_id]}"
        findings.compare(What.STANDING, where, stored.get((board, key)), derived.get((board, key)))


def _show_standing(row: Standing) -> dict[str, Any]:
    columns = ("setting", "draws", "difference", "lower", "upper", "verdict", "figures")
    return {name: getattr(row, name) for name in columns}
