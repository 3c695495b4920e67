"""What a model is asked in whole campaigns: each refusal beside its reply, and something whatever losses there are."""

from sqlalchemy import select
from sqlalchemy.orm import aliased

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Candidate, Lineage
from discovery_service.domain.authors import Author
from discovery_service.domain.states import CampaignStatus
from discovery_service.engine.findings import What
from discovery_service.engine.questions import PROMPT_TOKENS
from discovery_service.engine.replay import replay
from discovery_service.prompts.brief import Message
from discovery_service.prompts.fitting import count_messages
from tests.engine.playing import table
from tests.engine.searching import OTHERS, Search, in_turn, say

ASKS = {"arena": "panel:mini", "library": ["dpo"], "proposers": [{"kind": "llm", "models": [{"model": "any"}]}]}
"""Prompts are written of an arena that there is."""


def list_prompts(search: Search) -> list[list[Message]]:
    """First questions only."""
    exchanges = [search.list_exchanges(proposal.id)[0] for _, proposal in search.list_proposals()]
    return [[Message(**said) for said in each.messages] for each in exchanges]


def test_parents_that_fit_into_no_prompt_are_none_and_the_campaign_goes_on(sessions: Sessions) -> None:
    long = "-" * PROMPT_TOKENS

    def replies(number: int, slot: int, turn: int) -> str | None:
        said = in_turn()(number, slot, turn)
        return said and said.replace("return beta", f"return {long}beta")

    merits = dict.fromkeys(OTHERS, 0.5)
    search = Search(sessions, table(merits), replies, budgets={"candidates": 8}, **ASKS)
    search.search()
    campaign = search.get_campaign()
    assert campaign.status is CampaignStatus.COMPLETED, campaign.status_reason
    prompts = list_prompts(search)
    assert len(prompts) == 8
    assert all(count_messages(each) <= PROMPT_TOKENS for each in prompts)
    kinds = [proposal.request["kind"] for _, proposal in search.list_proposals()]
    assert [("# Parent" in each[1].content) for each in prompts] == [kind != "fresh" for kind in kinds]
    parent = aliased(Candidate)
    with sessions() as session:
        query = select(parent.name).join(Lineage, Lineage.parent_id == parent.id)
        assert set(session.scalars(query)) <= {"dpo"}
        found = replay(session, search.campaign_id, lambda *_: None)
        assert [(each.what, each.where) for each in found.differences] == []


def test_in_a_conversation_each_reply_is_followed_by_what_came_of_it(sessions: Sessions) -> None:
    """Also where the gate refused the first one and the corrections held no loss."""

    def replies(number: int, slot: int, turn: int) -> str | None:
        if number > 1:
            return in_turn()(number, slot, turn)
        return "I would rather not." if turn else say("nonsense")

    strategy = {"name": "discopop", "round_size": 1, "max_open_rounds": 1}
    search = Search(sessions, table({}), replies, budgets={"candidates": 2}, strategy=strategy, **ASKS)
    search.search()
    said = [each.content for each in list_prompts(search)[1][2:]]
    assert said[0] == say("nonsense")
    assert said[1].startswith("Refused (unknown_name): There is no such name.")
    assert said[2] == "I would rather not."
    assert said[3].startswith("Refused (no_code): ")
    assert len(said) == 4


def test_what_a_loss_was_made_from_is_what_stood_in_its_prompt_or_was_drawn_from(sessions: Sessions) -> None:
    """A conversation has nothing of other proposers, and the symbolic one is shown nothing beside its parents."""
    mixed = {**ASKS, "proposers": [*ASKS["proposers"], {"kind": "symbolic"}]}
    strategies: list[dict[str, object]] = [{"name": "discopop", "round_size": 2}, {"name": "evolve", "round_size": 2}]
    for strategy in strategies:
        search = Search(sessions, table({}), in_turn(), budgets={"candidates": 8}, strategy=strategy, **mixed)
        search.search()
        parent, child = aliased(Candidate), aliased(Candidate)
        query = (
            select(parent.author, child.author, Lineage.role)
            .join(child, child.id == Lineage.child_id)
            .join(parent, parent.id == Lineage.parent_id)
            .where(child.campaign_id == search.campaign_id)
        )
        with sessions() as session:
            found = {(row[0], row[1], row[2]) for row in session.execute(query)}
            differing = replay(session, search.campaign_id, lambda *_: None).differences
        made = {(by, role) for _, by, role in found}
        assert (Author.SYMBOLIC, "inspiration") not in made
        assert (Author.LLM, "inspiration") in made
        if strategy["name"] == "discopop":
            assert {whose for whose, by, _ in found if by is Author.LLM} == {Author.LLM}
        assert not [each for each in differing if each.what is What.REQUEST]
