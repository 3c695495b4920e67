"""Plans a campaign before it starts: by the same counts by which the engine opens rounds and keeps back for the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from statistics import fmean
from uuid import UUID

from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena
from discovery_service.domain.allotment import Allotted, allot
from discovery_service.domain.arenas import list_base_policies
from discovery_service.domain.authors import Author
from discovery_service.domain.budget import Spend, find_bounds
from discovery_service.domain.campaign import CampaignSpec, LlmProposer
from discovery_service.domain.orders import Order
from discovery_service.domain.plans import (
    Planned,
    PlannedCalls,
    PlannedConfirmation,
    PlannedEvaluations,
    Played,
    Slot,
    play,
)
from discovery_service.domain.proposals import count_repairs
from discovery_service.domain.published import find_figures
from discovery_service.domain.token_costs import NOTHING, Message, Spent
from discovery_service.engine.arenas import get_arena, pin_arenas
from discovery_service.engine.library import find_shipped, list_library
from discovery_service.engine.questions import (
    PROMPT_TOKENS,
    ask_slots,
    find_options,
    find_price,
    find_worst,
    list_unpriced,
)
from discovery_service.engine.spending import count_library, count_trainings, keep_back, keep_for, plan_end
from discovery_service.engine.stand_ins import stand_in
from discovery_service.prompts.tokens import PER_MESSAGE, count_tokens

REPLY_TOKENS = 290
"""The median of 36 recorded replies; what a model thinks before it is not in it."""
NOBODY = UUID(int=0)
"""Whose replies a prompt would go on from; there are none yet."""
_MOST_ASKED = 8
"""Prompts of one model that are written for a plan; the others of a round are much the same."""
_DEALT_ROUNDS = 20
"""Dealt among those who propose; later rounds are dealt as these."""
_CENT = Decimal("0.000001")


def plan_campaign(session: Session, spec: CampaignSpec) -> Planned:
    """UnusableFields where the spec names an arena that there is not, PromptTooLong where a model has no room."""
    spec = pin_arenas(session, spec)
    arena, *held_out = [get_arena(session, name) for name in (spec.arena, *spec.held_out_arenas)]
    library, confirmation, beyond = _count(spec, arena, held_out)
    end = confirmation + sum(beyond)
    calls = _find_calls(session, spec, arena)
    bound = next(find_bounds(spec.budgets, Spend(evaluations=library + end)), None)
    if bound is not None:
        why = (
            f"Not even the library can be measured: it takes {library} evaluations and the end {end}, and"
            f" {bound.limit:.0f} are allowed. Allow more, or name fewer losses."
        )
        nothing = PlannedCalls(0, Decimal(0))
        return Planned(0, 0, PlannedEvaluations(0, 0, 0, 0), 0.0, nothing, nothing, (), None, (why,))
    searched_s = _find_training_s(arena, [0]) or 0.0
    beside = Spend(evaluations=library + end, device_seconds=searched_s * (library + end))
    rounds = [_list_slots(spec, arena, calls, number + 1, searched_s) for number in range(_DEALT_ROUNDS)]
    played = play(spec.budgets, beside, rounds, max_open_rounds=spec.strategy.max_open_rounds)
    evaluations = PlannedEvaluations(library, played.evaluations, confirmation, sum(beyond))
    confirmations = tuple(_plan_confirmation(spec, each, is_held_out=each is not arena) for each in (arena, *held_out))
    return Planned(
        proposals=played.proposals,
        rounds=played.rounds,
        evaluations=evaluations,
        core_seconds=_find_seconds(evaluations, arena, held_out, beyond),
        typical=_of_all(_share_out(calls, lambda each: each.usual), played.proposals),
        worst=_of_all(_share_out(calls, lambda each: each.most), played.proposals),
        confirmations=confirmations,
        binds_first=played.binds,
        notes=tuple(_list_notes(spec, confirmations, calls, played)),
    )


def _count(spec: CampaignSpec, arena: Arena, held_out: Sequence[Arena]) -> tuple[int, int, list[int]]:
    """Of the library, the confirmation, and of each held-out arena all that is done in it."""
    shipped = find_shipped(spec, [arena, *held_out])
    library = count_library(spec, arena, len(list_library(spec)), shipped=len(shipped[arena.content_sha256]))
    confirmation = keep_back(spec, arena, [], shipped).evaluations
    beyond = [keep_for(spec, each, shipped) for each in held_out]
    return library, confirmation, beyond


@dataclass(frozen=True)
class _Call:
    """A first question to one of those who propose."""

    usual: Spent
    """With its reply, without corrections."""
    reserved: Spent
    most: Spent
    """With every correction."""


@dataclass(frozen=True)
class _Asked:
    """One of those who propose."""

    whom: Allotted
    part: float
    """Of the proposals."""
    calls: Sequence[_Call]
    """Some of a round's."""


def _list_slots(
    spec: CampaignSpec, arena: Arena, asked: Sequence[_Asked], number: int, searched_s: float
) -> list[Slot]:
    """Of a round, as the engine allots and counts them."""
    by_whom = {each.whom: each.calls for each in asked}
    slots = []
    for slot, trainings in enumerate(count_trainings(spec, arena, spec.strategy.round_size)):
        calls = by_whom[allot(spec, number, slot)]
        call = calls[slot % len(calls)]
        usual, worst = (_spend(each, trainings, searched_s) for each in (call.usual, call.reserved))
        slots.append(Slot(usual, worst))
    return slots


def _spend(call: Spent, trainings: int, searched_s: float) -> Spend:
    return Spend(1, trainings, call.tokens, call.cost_usd or Decimal(0), searched_s * trainings)


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


def _find_calls(session: Session, spec: CampaignSpec, arena: Arena) -> list[_Asked]:
    """Of all who propose, by their shares."""
    total = sum(each.share for each in spec.proposers)
    found = []
    for proposer in spec.proposers:
        part = proposer.share / total
        if not isinstance(proposer, LlmProposer):
            found.append(_Asked(Allotted(Author(proposer.kind)), part, [_Call(NOTHING, NOTHING, NOTHING)]))
            continue
        weights = sum(each.weight for each in proposer.models)
        for each in proposer.models:
            calls = _ask(session, spec, arena, proposer.model_copy(update={"models": [each]}))
            found.append(_Asked(Allotted(Author.LLM, each.model), part * each.weight / weights, calls))
    return found


def _ask(session: Session, spec: CampaignSpec, arena: Arena, proposer: LlmProposer) -> list[_Call]:
    """A round of one model's, or some of it, once the library is measured."""
    alone = Order(size=min(spec.strategy.round_size, _MOST_ASKED)).apply(spec)
    alone = alone.model_copy(update={"proposers": [proposer]})
    model = proposer.models[0].model
    return [
        _Call(_find_usual(model, each.messages), each.worst, _find_most(model, each.messages))
        for each in ask_slots(session, NOBODY, alone, arena, stand_in(spec, arena), round_index=1)
    ]


def _share_out(asked: Sequence[_Asked], which: Callable[[_Call], Spent]) -> PlannedCalls:
    """Of one proposal, over all who propose."""
    total = PlannedCalls(0, Decimal(0))
    for each in asked:
        for call in each.calls:
            total = _add(total, which(call), each.part / len(each.calls))
    return total


def _count_prompt(messages: Sequence[Message]) -> int:
    return sum(PER_MESSAGE + count_tokens(each["content"]) for each in messages)


def _find_usual(model: str, messages: Sequence[Message]) -> Spent:
    return Spent.at(find_price(find_options(model)), _count_prompt(messages), REPLY_TOKENS)


def _find_most(model: str, messages: Sequence[Message]) -> Spent:
    """As the service reserves it: prompts and replies as long as they may be, each correction behind all before it."""
    first, turns = find_worst(Author.LLM, model, messages), 1 + count_repairs(Author.LLM)
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


def _list_notes(
    spec: CampaignSpec, confirmations: Sequence[PlannedConfirmation], asked: Sequence[_Asked], played: Played
) -> list[str]:
    notes = []
    if unpriced := list_unpriced(spec):
        notes.append(
            f"The campaign would pause at once: a budget in dollars cannot be held without the price of"
            f" {', '.join(unpriced)}. Give it a profile with both prices for all workers and the API"
            " (docs/models.md), or take the budget away."
        )
    if not played.proposals and played.binds in ("tokens", "cost_usd"):
        most = max((call.reserved for each in asked for call in each.calls), key=lambda each: each.tokens)
        cost = "" if most.cost_usd is None else f" and {most.cost_usd:f} dollars"
        notes.append(f"Nobody would be asked: of one question up to {most.tokens} tokens{cost} are reserved.")
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
