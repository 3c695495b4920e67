"""What is asked of whoever proposes in a slot: the request of the strategy, the prompt, and what an answer may cost."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, Exchange, Proposal, Round
from discovery_service.domain.allotment import Allotted, allot
from discovery_service.domain.archive import Archive, Place
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec, LlmProposer, StrategyName
from discovery_service.domain.requests import Request
from discovery_service.domain.states import ExchangeStatus
from discovery_service.domain.token_costs import NOTHING, TEMPLATE_TOKENS, Message, Price, Spent, worst_case
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.passport import describe_passport
from discovery_service.prompts.brief import Brief, Context, NamedInput
from discovery_service.prompts.conversation import narrow_to_said
from discovery_service.prompts.fitting import narrow
from discovery_service.prompts.templates import VERSION, read_words
from discovery_service.prompts.tokens import count_cautiously
from discovery_service.prompts.writing import write_prompt
from discovery_service.search.ask import ask, show
from discovery_service.settings import ModelOptions, get_settings

PROMPT_TOKENS = 16_000
"""Of a first prompt: a library of 29 in its table and two parents with their training take about a third."""
CORRECTION_TOKENS = 1_000
"""Left free in a model's context behind a first prompt: for a usual reply and what is said to it."""


@dataclass(frozen=True)
class Asked:
    """In one slot of a round."""

    slot: int
    whom: Allotted
    request: Request
    messages: list[Message]
    """None for the symbolic proposer, which reads the archive itself."""
    worst: Spent
    room: int | None
    """What the model's context leaves for a prompt; None where nobody has told it."""

    @property
    def prompt_version(self) -> str | None:
        return VERSION if self.messages else None


def ask_slots(
    session: Session,
    campaign_id: UUID,
    spec: CampaignSpec,
    arena: Arena,
    archive: Archive,
    *,
    round_index: int,
    taken: int = 0,
    rooms: Mapping[int, int] | None = None,
) -> list[Asked]:
    """All slots of a round that sees this archive, but so many first ones; the same from the same rows.

    `rooms` are those of its slots as they once were, where a round is asked for again; else this machine's profiles
    tell. Raises PromptTooLong.
    """
    brief = make_brief(spec, arena)
    asked = []
    for slot in range(taken, spec.strategy.round_size):
        whom = allot(spec, round_index, slot)
        request = ask(spec.strategy, archive, seed=spec.seed, round_index=round_index, slot=slot)
        messages: list[Message] = []
        room = find_room(whom.author, whom.model) if rooms is None else rooms.get(slot)
        if whom.author is not Author.SYMBOLIC:
            context = _find_context(session, campaign_id, spec, archive, request, whom.author)
            left = None if room is None else room - CORRECTION_TOKENS
            prompt = write_prompt(brief, context, budget_tokens=PROMPT_TOKENS, room_tokens=left)
            messages = [each.document() for each in prompt.messages]
            # Nobody answers to a loss that was left out, or has it for a parent.
            request = narrow_to_said(context, prompt.cuts) if _is_chat(spec) else narrow(request, prompt.cuts)
        asked.append(Asked(slot, whom, request, messages, find_worst(whom.author, whom.model, messages), room))
    return asked


def make_brief(spec: CampaignSpec, arena: Arena) -> Brief:
    inputs = tuple(
        NamedInput(
            each.name,
            each.meaning,
            each.shape.value,
            is_of_policy=each.role is Role.POLICY,
            is_integer=each.is_integer,
        )
        for each in INPUTS[spec.family]
    )
    return Brief(spec.family, inputs, arena.spec, spec.tuning.screen_draws, spec.guidance)


def _find_context(
    session: Session, campaign_id: UUID, spec: CampaignSpec, archive: Archive, request: Request, author: Author
) -> Context:
    shown = show(spec.strategy.name, archive)
    passports = {
        place: describe_passport(shown.by_place[place].passport) for place in (*request.parents, *request.inspirations)
    }
    replies = _read_replies(session, campaign_id, archive.rounds, author) if _is_chat(spec) else {}
    return Context(spec.strategy.name, request, shown, passports, replies)


def _is_chat(spec: CampaignSpec) -> bool:
    return spec.strategy.name is StrategyName.DISCOPOP


def _read_replies(session: Session, campaign_id: UUID, rounds: Collection[int], author: Author) -> dict[Place, str]:
    """Of one proposer, as they came."""
    query = (
        select(Round.number, Proposal.slot, Exchange.turn, Exchange.reply)
        .join(Proposal, Proposal.id == Exchange.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(
            Round.campaign_id == campaign_id,
            Round.number.in_(rounds),
            Proposal.proposer == author.value,
            Exchange.status == ExchangeStatus.ANSWERED,
        )
    )
    return {Place(number, slot, turn): reply or "" for number, slot, turn, reply in session.execute(query)}


def find_worst(author: Author, model: str | None, messages: Sequence[Message]) -> Spent:
    """Of one call, to be reserved before it. Nothing is charged where no language model works."""
    if author is not Author.LLM:
        return NOTHING
    options = find_options(model)
    return worst_case(messages, find_schema(VERSION), options.max_tokens, find_price(options))


def find_room(author: Author, model: str | None) -> int | None:
    """Tokens that the model's context leaves for a prompt, beside the longest reply and the reply's schema."""
    if author is not Author.LLM:
        return None
    options = find_options(model)
    if options.context_tokens is None:
        return None
    schema = count_cautiously(json.dumps(find_schema(VERSION)))
    return options.context_tokens - options.max_tokens - schema - TEMPLATE_TOKENS


def find_schema(prompt_version: str) -> dict[str, Any]:
    """Of the reply."""
    found: dict[str, Any] = read_words(prompt_version).reply["schema"]
    return found


def find_options(model: str | None) -> ModelOptions:
    return get_settings().llm.profiles.get(model or "", ModelOptions())


def find_price(options: ModelOptions) -> Price | None:
    if options.input_usd_per_million is None or options.output_usd_per_million is None:
        return None
    return Price(options.input_usd_per_million, options.output_usd_per_million)


def list_unpriced(spec: CampaignSpec) -> list[str]:
    """The models whose price nobody has told, where there is a budget in dollars to be held."""
    if spec.budgets.cost_usd is None:
        return []
    models = [
        each.model for proposer in spec.proposers if isinstance(proposer, LlmProposer) for each in proposer.models
    ]
    return [name for name in models if find_price(find_options(name)) is None]
