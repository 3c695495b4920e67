"""Plans a campaign before it starts: by the same counts by which the engine opens rounds and keeps back for the end."""

from collections.abc import Sequence
from decimal import ROUND_UP, Decimal
from statistics import fmean
from uuid import UUID

from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena
from discovery_service.domain.archive import Archive, Member, Place
from discovery_service.domain.arenas import list_base_policies
from discovery_service.domain.authors import Author
from discovery_service.domain.budget import Spend
from discovery_service.domain.campaign import CampaignSpec, LlmProposer
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.orders import Order
from discovery_service.domain.plans import (
    Planned,
    PlannedCalls,
    PlannedConfirmation,
    PlannedEvaluations,
    Slots,
    list_allowed,
)
from discovery_service.domain.proposals import count_repairs
from discovery_service.domain.published import find_figures
from discovery_service.domain.token_costs import NOTHING, Message, Spent
from discovery_service.engine.arenas import get_arena, pin_arenas
from discovery_service.engine.library import find_shipped, list_library
from discovery_service.engine.questions import PROMPT_TOKENS, ask_slots, find_options, find_price, find_worst
from discovery_service.engine.spending import count_library, count_trainings, keep_back, keep_for, plan_end
from discovery_service.losses.described import list_described
from discovery_service.prompts.tokens import PER_MESSAGE, count_tokens

REPLY_TOKENS = 290
"""The median of 36 recorded replies; what a model thinks before it is not in it."""
NOBODY = UUID(int=0)
"""Whose replies a prompt would go on from; there are none yet."""
_CENT = Decimal("0.000001")


def plan_campaign(session: Session, spec: CampaignSpec) -> Planned:
    """UnusableFields where the spec names an arena that there is not."""
    spec = pin_arenas(session, spec)
    arena, *held_out = [get_arena(session, name) for name in (spec.arena, *spec.held_out_arenas)]
    slots, library, confirmation, beyond = _count(spec, arena, held_out)
    end = confirmation + sum(beyond)
    usual, worst = _find_calls(session, spec, arena)
    searched_s = _find_training_s(arena, [0])
    beside = Spend(evaluations=library + end, device_seconds=(searched_s or 0.0) * (library + end))
    per_proposal = sum(slots.trainings) / len(slots.trainings)
    each = Spend(
        tokens=usual.tokens, cost_usd=usual.cost_usd or Decimal(0), device_seconds=(searched_s or 0.0) * per_proposal
    )
    allowed = list_allowed(spec.budgets, slots, beside, each)
    binds = min(allowed, key=lambda name: allowed[name])
    is_begun = spec.budgets.evaluations is None or spec.budgets.evaluations >= library + end
    proposals = allowed[binds] if is_begun else 0
    evaluations = PlannedEvaluations(
        library if is_begun else 0,
        slots.count_trainings(proposals),
        confirmation if is_begun else 0,
        sum(beyond) if is_begun else 0,
    )
    confirmations = tuple(_plan_confirmation(spec, each, is_held_out=each is not arena) for each in (arena, *held_out))
    return Planned(
        proposals=proposals,
        rounds=-(-proposals // spec.strategy.round_size),
        evaluations=evaluations,
        core_seconds=_find_seconds(evaluations, arena, held_out, beyond if is_begun else []),
        typical=_of_all(usual, proposals),
        worst=_of_all(worst, proposals),
        confirmations=confirmations,
        binds_first=binds if is_begun else None,
        notes=tuple(_list_notes(spec, confirmations, is_begun=is_begun)),
    )


def _count(spec: CampaignSpec, arena: Arena, held_out: Sequence[Arena]) -> tuple[Slots, int, int, list[int]]:
    """Of a round of the search, the library, the confirmation, and of each held-out arena all that is done in it.

    The only place here that knows how many trainings a loss has.
    """
    size = spec.strategy.round_size
    begun = tuple(sum(count_trainings(spec, arena, taken)) for taken in range(size))
    slots = Slots(tuple(count_trainings(spec, arena, size)), begun)
    shipped = find_shipped(spec, [arena, *held_out])
    library = count_library(spec, arena, len(list_library(spec)), shipped=len(shipped[arena.content_sha256]))
    confirmation = keep_back(spec, arena, [], shipped).evaluations
    beyond = [keep_for(spec, each, shipped) for each in held_out]
    return slots, library, confirmation, beyond


def _find_training_s(arena: Arena, base_policies: Sequence[int]) -> float | None:
    """Of a core, with measuring; None where nobody has published it."""
    found = [find_figures(arena.content_sha256, each) for each in base_policies]
    seconds = [
        each.training_s + each.measuring_s
        for each in found
        if each is not None and each.training_s is not None and each.measuring_s is not None
    ]
    return fmean(seconds) if len(seconds) == len(found) else None


def _find_seconds(
    evaluations: PlannedEvaluations,
    arena: Arena,
    held_out: Sequence[Arena],
    beyond: Sequence[int],
) -> float | None:
    """None where one of the arenas has no published cost: a part of the sum would be taken for all of it."""
    searched = evaluations.library + evaluations.search
    parts = [(arena, [0], searched), (arena, list_base_policies(arena.spec), evaluations.confirmation)]
    parts += [(each, list_base_policies(each.spec), count) for each, count in zip(held_out, beyond, strict=False)]
    total = 0.0
    for where, policies, count in parts:
        seconds = _find_training_s(where, policies)
        if seconds is None:
            return None
        total += seconds * count
    return total


def _plan_confirmation(spec: CampaignSpec, arena: Arena, *, is_held_out: bool) -> PlannedConfirmation:
    plan = plan_end(spec, arena)
    return PlannedConfirmation(
        arena=arena.name,
        is_held_out=is_held_out,
        draws=plan.draws,
        detect=plan.detect,
        detectable=plan.detectable,
        sd=plan.sd,
        sd_source=plan.sd_source.value,
        training_s=_find_training_s(arena, plan.base_policies),
    )


def _find_calls(session: Session, spec: CampaignSpec, arena: Arena) -> tuple[PlannedCalls, PlannedCalls]:
    """Of one proposal, over all who propose by their shares: as they usually come, and at most."""
    total = sum(each.share for each in spec.proposers)
    usual, worst = PlannedCalls(0, Decimal(0)), PlannedCalls(0, Decimal(0))
    for proposer in spec.proposers:
        author = Author(proposer.kind)
        models = proposer.models if isinstance(proposer, LlmProposer) else []
        total_weight = sum(each.weight for each in models)
        weights: dict[str | None, float] = {each.model: each.weight / total_weight for each in models}
        alone = Order(size=1, proposer=proposer.kind).apply(spec)
        [asked] = ask_slots(session, NOBODY, alone, arena, _make_archive(spec), round_index=1)
        for model, weight in (weights or {None: 1.0}).items():
            part = proposer.share / total * weight
            usual = _add(usual, _find_usual(author, model, asked.messages), part)
            worst = _add(worst, _find_most(author, model, asked.messages), part)
    return usual, worst


def _make_archive(spec: CampaignSpec) -> Archive:
    """Of the library, before anything of it is measured."""
    described = list_described(spec.family)
    members = [
        Member(
            Place(LIBRARY_ROUND, slot),
            known.name,
            Author.LIBRARY,
            known.text,
            described[known.name].graph,
            described[known.name].passport,
            described[known.name].formula,
        )
        for slot, known in enumerate(list_library(spec))
    ]
    return Archive((LIBRARY_ROUND,), tuple(members))


def _count_prompt(messages: Sequence[Message]) -> int:
    return sum(PER_MESSAGE + count_tokens(each["content"]) for each in messages)


def _find_usual(author: Author, model: str | None, messages: Sequence[Message]) -> Spent:
    """The first prompt and its reply, without corrections."""
    if author is not Author.LLM:
        return NOTHING
    return Spent.at(find_price(find_options(model)), _count_prompt(messages), REPLY_TOKENS)


def _find_most(author: Author, model: str | None, messages: Sequence[Message]) -> Spent:
    """As the service reserves it: prompts and replies as long as they may be, each correction behind all before it."""
    if author is not Author.LLM:
        return NOTHING
    first, turns = find_worst(author, model, messages), 1 + count_repairs(author)
    longest = first.tokens_in * PROMPT_TOKENS // max(_count_prompt(messages), 1)
    replies = sum(range(turns)) * first.tokens_out
    return Spent.at(find_price(find_options(model)), turns * longest + replies, turns * first.tokens_out)


def _add(calls: PlannedCalls, spent: Spent, part: float) -> PlannedCalls:
    unpriced = calls.cost_usd is None or spent.cost_usd is None
    cost = None if unpriced else (calls.cost_usd or Decimal(0)) + (spent.cost_usd or Decimal(0)) * Decimal(str(part))
    return PlannedCalls(calls.tokens + round(spent.tokens * part), cost)


def _of_all(calls: PlannedCalls, proposals: int) -> PlannedCalls:
    cost = None if calls.cost_usd is None else (calls.cost_usd * proposals).quantize(_CENT, rounding=ROUND_UP)
    return PlannedCalls(calls.tokens * proposals, cost)


def _list_notes(spec: CampaignSpec, confirmations: Sequence[PlannedConfirmation], *, is_begun: bool) -> list[str]:
    notes = []
    if not is_begun:
        notes.append(
            "The evaluations do not even suffice for the library and the end: allow more, or name fewer losses."
        )
    if spec.budgets.target is not None or spec.budgets.patience is not None:
        notes.append("Target or patience may end the search earlier.")
    if spec.budgets.wall_time_s is not None:
        notes.append("Whether the wall time ends it earlier depends on how many slots train.")
    unknown = [each.arena for each in confirmations if each.training_s is None]
    if unknown:
        notes.append(f"How long a training takes is not known of {', '.join(unknown)}.")
    blind = [each.arena for each in confirmations if each.detectable is None]
    if blind:
        notes.append(f"Nobody has calibrated {', '.join(blind)}: how small a difference is found is not known.")
    return notes
