"""The campaign of `discovery demo`: small enough for four minutes of two cores, with all that a campaign does."""

from dataclasses import dataclass
from typing import Any

from discovery_service.domain.arenas import ARENAS, arena_names
from discovery_service.domain.campaign import tell_arenas, tell_arenas_of
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.domain.recorded import find_recorded_kind
from discovery_service.domain.worlds import ArenaSize
from discovery_service.errors import UsageError

VARIANTS = {
    "terse": "terse-strong",
    "panel": "panel-diluted",
    "fog": "fog-dense",
    "fluent": "fluent-strong",
    "crowd": "crowd-skewed",
    "guardrail": "guardrail-mild",
    "outcome-confounded": "outcome",
    "plurality": "plurality-littered",
}
"""Like the arena but for one thing: there it shows whether a find is of use beyond where it was found."""
ARENA_OF = {
    Family.PAIRWISE: "panel",
    Family.AUXILIARY: "guardrail",
    Family.OUTCOME: "outcome-confounded",
    Family.MATCHING: "plurality",
}
"""Where it searches unless an arena is named."""
LIBRARIES = {
    **KNOWN_LOSSES,
    # Without length_dpo (R-DPO), which is what was planted in terse, and in arenas of one length is DPO itself.
    Family.PAIRWISE: ("dpo", "cdpo", "robust_dpo", "ipo", "slic", "simpo"),
}
NAMED = "demo in "
"""With this the names of all their campaigns begin."""
MOST_TOKENS = 500_000
"""Twenty questions at their worst; five are asked, and repaired up to twice."""


@dataclass(frozen=True)
class Plan:
    name: str
    spec: dict[str, Any]
    told: tuple[str, ...]
    """What is to be known of it beforehand, in sentences."""


def choose_arena(arena: str | None, family: Family | None) -> str:
    """As the options name it. UsageError where the arena is of another family."""
    if arena is None:
        return ARENA_OF[family or Family.PAIRWISE]
    known = ARENAS.get(arena.partition(":")[0])
    if known is not None and family not in (None, known.family):
        raise UsageError(f"--arena {tell_arenas_of(family, arena, arena_names(family))}.")
    return arena


def plan_demo(arena: str, seed: int, model: str | None) -> Plan:
    """`model` is whom to ask; None where there is no key for one."""
    kind, _, size = arena.partition(":")
    size = size or ArenaSize.MINI
    if f"{kind}:{size}" not in arena_names():
        raise UsageError(f"--arena {arena} {tell_arenas(ARENAS)}.")
    family = ARENAS[kind].family
    held_out = [f"{VARIANTS[kind]}:{size}"] if kind in VARIANTS else []
    proposers, who = _choose_proposers(f"{kind}:{size}", model)
    spec = {
        "family": family.value,
        "arena": f"{kind}:{size}",
        "held_out_arenas": held_out,
        "library": list(LIBRARIES[family]),
        "strategy": {"name": "evolve", "round_size": 4},
        "proposers": proposers,
        # Nine draws: what they find is told with the verdict, and .6 is above it in every calibrated arena.
        "confirmation": {"finalists": 2, "min_draws": 9, "detect": 0.6},
        "budgets": {"candidates": 10} | ({"tokens": MOST_TOKENS} if model else {}),
        "seed": seed,
    }
    where = f"held out: {held_out[0]}" if held_out else "nothing is held out: no arena differs from it by one thing"
    return Plan(f"{NAMED}{kind}:{size}, seed {seed}", spec, (f"Searching in {kind}:{size}; {where}.", who))


def _choose_proposers(arena: str, model: str | None) -> tuple[list[dict[str, Any]], str]:
    symbolic: dict[str, Any] = {"kind": "symbolic"}
    if model is not None:
        asked = f"Proposers: {model}, which OPENAI_API_KEY pays for, and the symbolic one, which needs no model."
        return [{"kind": "llm", "models": [{"model": model}]}, symbolic], asked
    without = "OPENAI_API_KEY is not set"
    if find_recorded_kind(arena) is None:
        return [symbolic], f"{without}, and no replies were recorded in {arena}: the symbolic proposer works alone."
    played = (
        f"{without}: RECORDED replies of a language model are played again, beside the symbolic proposer, which needs"
        " no model. What they find says nothing of how well a model searches."
    )
    return [{"kind": "recorded"}, symbolic], played
