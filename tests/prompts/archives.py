"""An archive as a round may see it, made of the library's own sources and passports, with invented measurements."""

import math
from collections.abc import Mapping
from typing import Any

from discovery_service.domain.archive import Archive, Member, Place, Refused, Screened
from discovery_service.domain.arenas import find_document
from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting
from discovery_service.losses.described import list_described
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.graph import read_graph
from discovery_service.losses.passport import describe_passport
from discovery_service.losses.printer import print_graph
from discovery_service.prompts.brief import Brief, NamedInput
from discovery_service.prompts.code import drop_docstrings

LIBRARY = ("dpo", "ipo", "slic", "simpo")


def make_brief(arena: str = "panel:mini", *, family: Family = Family.PAIRWISE, guidance: str = "") -> Brief:
    document = find_document(arena)
    assert document is not None
    inputs = tuple(
        NamedInput(
            each.name,
            each.meaning,
            each.shape.value,
            is_of_policy=each.role is Role.POLICY,
            is_integer=each.is_integer,
        )
        for each in INPUTS[family]
    )
    return Brief(family, inputs, document, screen_draws=3, guidance=guidance)


def make_series(steps: int = 120, final: float = 5.0) -> dict[str, list[float]]:
    rise = [1 - math.exp(-5 * (step + 1) / steps) for step in range(steps)]
    return {
        "loss": [0.69 - 0.4 * each for each in rise],
        "gradient_norm": [3.0 - 2.5 * each for each in rise],
        "margin": [final * each for each in rise],
        "accuracy": [0.5 + 0.35 * each for each in rise],
        "kl_estimate": [0.04 * (final * each) ** 2 for each in rise],
        "chosen_log_ratio": [0.3 * final * each for each in rise],
        "rejected_log_ratio": [-0.7 * final * each for each in rise],
    }


def make_screened(difference: float | None, *, kl: float = 0.7, beta: float = 1.0) -> Screened:
    """J is .8 where it is not better than the reference."""
    j = 0.8 + (difference or 0.0)
    return Screened(
        Setting(beta, 1.5e-3, 120),
        None if difference is None else Interval(difference, difference - 0.1234, difference + 0.1234, 3),
        {
            name: Interval(mean, mean - 0.0567, mean + 0.0567, 3)
            for name, mean in (("J", j), ("reward", j + kl), ("kl", kl), ("accuracy", 0.7912))
        },
        series=make_series(final=(kl / 0.04) ** 0.5),
    )


def make_member(place: Place, name: str, known: str, author: Author = Author.LLM, **given: Any) -> Member:
    """With the graph, the source and the passport of a loss that is known; the source says nothing but code."""
    described = list_described(Family.PAIRWISE)[known]
    source = drop_docstrings(print_graph(read_graph(described.graph)))
    return Member(place, name, author, source, described.graph, described.passport, described.formula, **given)


def make_archive() -> Archive:
    library = [
        make_member(Place(0, slot), name, name, Author.LIBRARY, screened=make_screened(difference, kl=0.7 + 0.1 * slot))
        for slot, (name, difference) in enumerate(zip(LIBRARY, (None, 0.0123, -0.0456, -0.3789), strict=True))
    ]
    found = [
        make_member(
            Place(1, 0, 1),
            "weighted_margin",
            "padll",
            thought="Half the pairs pull the wrong way; weighting them down should raise the reward at the same KL.",
            screened=make_screened(0.2345678, kl=0.61, beta=2.0),
            parents=(Place(0, 0),),
        ),
        make_member(Place(1, 1), "late_hinge", "aqfl", Author.SYMBOLIC, is_stopped=True),
        make_member(Place(2, 0), "squared_gap", "pfl", failures=("diverged", "diverged", "non_finite")),
        make_member(
            Place(2, 2), "smooth_steps", "cdpo", screened=make_screened(0.1012, kl=0.83), parents=(Place(1, 0, 1),)
        ),
    ]
    refused = [
        Refused(
            Place(1, 0, 0),
            "weighted_margin",
            Author.LLM,
            "branch_on_tensor",
            "The choice depends on a tensor's values: write torch.where(condition, a, b).",
        ),
        Refused(
            Place(2, 1),
            "scaled_dpo",
            Author.LLM,
            "duplicate",
            "The loss behaves like dpo at 0.5 times its beta (cosine 0.9999), which is known already; change what it"
            " does to the margin, not its scale.",
        ),
        Refused(Place(2, 3), "mutant", Author.SYMBOLIC, "zero_gradient", "The loss has no gradient."),
    ]
    return Archive((0, 1, 2), (*library, *found), tuple(refused))


def tell_passports(archive: Archive) -> Mapping[Place, tuple[str, ...]]:
    return {each.place: tuple(describe_passport(each.passport)) for each in archive.members}
