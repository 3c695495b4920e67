"""Which proposer, and of a language model's slots which model, gets a slot of a round, by the shares of the spec."""

from dataclasses import dataclass

from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec, LlmProposer
from discovery_service.domain.shares import deal, find_turn


@dataclass(frozen=True)
class Allotted:
    author: Author
    model: str | None = None
    """Only of a language model's."""


def allot(spec: CampaignSpec, round_index: int, slot: int) -> Allotted:
    turn = find_turn(spec.seed, round_index, slot, round_size=spec.strategy.round_size, what="proposers")
    dealt = deal([each.share for each in spec.proposers], turn + 1)
    proposer = spec.proposers[dealt[turn]]
    if not isinstance(proposer, LlmProposer):
        return Allotted(Author(proposer.kind))
    before = dealt[:turn].count(dealt[turn])
    model = deal([each.weight for each in proposer.models], before + 1)[before]
    return Allotted(Author.LLM, proposer.models[model].model)
