"""Archives of the library alone, and requests as a strategy makes them."""

from functools import cache

from discovery_service.domain.archive import Archive, Member, Place
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import Strategy
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.losses.described import list_described
from discovery_service.losses.graph import Graph, read_graph
from discovery_service.losses.source import check_source
from discovery_service.search.ask import ask
from workers.jail.compiler import compile_source
from workers.symbolic.expression import read_tree
from workers.symbolic.propose import Proposed, propose
from workers.symbolic.sites import Draft

SEED = 7


@cache
def archive_of_library(family: Family) -> Archive:
    described = [list_described(family)[name] for name in KNOWN_LOSSES[family]]
    members = [
        Member(Place(0, slot), each.name, Author.LIBRARY, "", each.graph, each.passport)
        for slot, each in enumerate(described)
    ]
    return Archive((0,), tuple(members))


def propose_from(archive: Archive, family: Family, round_index: int, slot: int, seed: int = SEED) -> Proposed:
    request = ask(Strategy(), archive, seed=seed, round_index=round_index, slot=slot)
    return propose(request, archive, family, seed=seed, round_index=round_index, slot=slot)


def compile_text(source: str, family: Family) -> Graph:
    return read_graph(compile_source(check_source(source, family)))


PAIR = "policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps"
RHO = "((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))"


def draft_of(result: str, *more: str) -> Draft:
    """Of a loss on pairs that returns this, of the margin `rho` and further inputs."""
    text = f"def f({', '.join((PAIR, *more))}, beta):\n    rho = {RHO}\n    z = beta * rho\n    return {result}\n"
    return Draft(Family.PAIRWISE, read_tree(compile_text(text, Family.PAIRWISE)))
