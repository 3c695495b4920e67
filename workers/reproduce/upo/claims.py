"""What the paper of UPO claims, measured in its worlds."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from discovery_service.domain.families import Family
from discovery_service.domain.intervals import find_interval
from discovery_service.losses.graph import Graph
from workers.reproduce.arms import Arm
from workers.reproduce.claims import Claim, Claims, Line
from workers.reproduce.drawing import Place, draw_places
from workers.reproduce.in_arenas import Effect, Study
from workers.reproduce.run import Run
from workers.reproduce.training import Recipe, make_generator, train_arm
from workers.reproduce.upo.world import KINDS, ScoredPairs, build, measure

NAME = "upo"
SEEDS = 5
RECIPE = Recipe(learning_rate=0.003, steps=300)
BETA = 0.3
GAMMAS = (0.02, 0.05, 0.1, 0.3)
"""Of a mean over answers; the library's upo_dpo adds up those of a pair, and has half of it."""
WEIGHTS = (1.0, 4.0, 16.0)
REFERENCE = "reference"


def _name(loss: str, value: float) -> str:
    return f"{loss} {value:g}"


ARMS = {
    "DPO": Arm("dpo", Family.AUXILIARY, BETA),
    "KTO": Arm("kto_pair", Family.AUXILIARY, BETA),
    "UPO 0": Arm("upo_dpo", Family.AUXILIARY, BETA, {"gamma": 0.0}),
    **{_name("UPO", each): Arm("upo_dpo", Family.AUXILIARY, BETA, {"gamma": each / 2}) for each in GAMMAS},
    "UPO on KTO": Arm("upo_kto", Family.AUXILIARY, BETA, {"gamma": 0.05}),
    **{_name("MODPO", each): Arm("modpo", Family.AUXILIARY, BETA, {"weight": each}) for each in WEIGHTS},
}

_GAMMAS = ("DPO", *(_name("UPO", each) for each in GAMMAS))
CLAIMED = {
    "A": (*_GAMMAS, "KTO", "UPO on KTO", "UPO 0", "MODPO 4"),
    "B": ("DPO", "UPO 0.1", "MODPO 16"),
    "C": ("UPO 0.05", "MODPO 4"),
}
"""The arms of each world without which a claim has no figure: the others are controls and in pictures."""

STUDIES = (
    Study(
        "guardrail:mini",
        (
            Effect(
                "In an arena whose rule nobody minds UPO's policy breaks it less often than DPO's, by",
                *("upo_dpo", "violations"),
                is_lower=True,
                figure_paper="fewer",
            ),
            Effect(
                "and less often than MODPO's, by",
                *("upo_dpo", "violations"),
                is_lower=True,
                than="modpo",
                figure_paper="better than all multi-objective baselines",
                note="both pay for violations with the same tuning",
            ),
            Effect(
                "Both one nat from the reference UPO's breaks it less often than DPO's, by",
                *("upo_dpo", "matched_violations"),
                is_lower=True,
                figure_paper="fewer",
            ),
            Effect(
                "and its answers are there no worse than DPO's beside the reference's: a share of wins higher by",
                *("upo_dpo", "matched_win_rate"),
                figure_paper="equal or better",
                note="UPO pays for the score with what people like",
            ),
            Effect(
                "Its J, which pays for violations, is higher than DPO's, by",
                *("upo_dpo", "J"),
                figure_paper="higher",
            ),
        ),
    ),
)

Measured = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By world and arm."""


def reproduce(run: Run) -> Iterable[Claim]:
    graphs = run.admission.admit(ARMS)
    arms = CLAIMED if run.is_quick else {kind: tuple(ARMS) for kind in KINDS}
    found = run.measure(partial(measure_seed, graphs, arms, run.recipe_of(RECIPE)), run.count_seeds(SEEDS))
    if run.plots is not None:
        for kind in KINDS:
            _draw(run.plots / f"upo_{kind}.png", kind, found)
    return conclude(found, Claims(NAME, run.is_quick))


def measure_seed(graphs: Mapping[str, Graph], arms: Mapping[str, Sequence[str]], recipe: Recipe, seed: int) -> Measured:
    """The arms of each world by name."""
    found: dict[str, dict[str, Mapping[str, float]]] = {}
    for number, (kind, about) in enumerate(KINDS.items()):
        world = build(about, make_generator(seed, number))
        found[kind] = {REFERENCE: measure(world, world.start)}
        for name in arms[kind]:
            policy = copy.deepcopy(world.start)
            train_arm(policy, ScoredPairs(world, make_generator(seed, number, 1)), ARMS[name], graphs[name], recipe)
            found[kind][name] = measure(world, policy)
    return found


def conclude(found: Sequence[Measured], claims: Claims) -> Iterable[Claim]:
    def fewer(kind: str, arm: str, other: str) -> list[float]:
        """By how much the arm's policy violates less."""
        return [each[kind][other]["violations"] - each[kind][arm]["violations"] for each in found]

    def wins(kind: str, arm: str) -> list[float]:
        return [each[kind][arm]["win"] for each in found]

    for base, arm in (("DPO", "UPO 0.05"), ("KTO", "UPO on KTO")):
        yield claims.of_mean(
            "Where the score has nothing to do with what people like, UPO at gamma .05 violates less often than"
            f" {base}, on which it builds, by",
            fewer("A", arm, base),
            Line(at_least=0.08),
            figure_paper="fewer",
        )
    yield claims.of_mean(
        "and its answers are liked better than the reference's in this share",
        wins("A", "UPO 0.05"),
        Line(at_least=0.6, neutral=0.5),
    )
    yield claims.of_mean(
        "Where the score is against what people like, UPO at gamma .1 violates less often than MODPO's margin of weight"
        " 16, by",
        fewer("B", "UPO 0.1", "MODPO 16"),
        Line(at_least=0.15),
        figure_paper="fewer",
        note="the margin is said to stall where label and score contradict each other; here it violates with a chance"
        f" of {_tell_mean(found, 'B', 'MODPO 16'):.3f}, DPO with {_tell_mean(found, 'B', 'DPO'):.3f}, and"
        " it violates the more the longer it trains",
    )
    yield claims.of_mean(
        "and its answers are liked better than the reference's in this share",
        wins("B", "UPO 0.1"),
        Line(at_least=0.55, neutral=0.5),
    )
    yield from _conclude_gamma(found, claims)
    for kind, about, control in (
        ("A", "has nothing to do with what people like", ""),
        ("C", "is mildly against what people like", "a control: nothing is claimed of this world; "),
    ):
        better = [one - other for one, other in zip(wins(kind, "MODPO 4"), wins(kind, "UPO 0.05"), strict=True)]
        yield claims.of_mean(
            f"Where the score {about}, UPO at gamma .05 violates less often than MODPO of weight 4, by",
            fewer(kind, "UPO 0.05", "MODPO 4"),
            Line(at_least=0.0),
            figure_paper="better than all multi-objective baselines",
            note=f"{control}MODPO's answers are liked better than the reference's in a share that is higher by"
            f" {sum(better) / len(better):.3f}; where it also violates less its frontier is the better one",
        )


def _conclude_gamma(found: Sequence[Measured], claims: Claims) -> Iterable[Claim]:
    def falls(world: Mapping[str, Mapping[str, float]]) -> bool:
        rows = [world[name] for name in _GAMMAS]
        return all(
            after[figure] < before[figure] for before, after in pairwise(rows) for figure in ("win", "violations")
        )

    def list_worlds(*arms: str) -> list[Mapping[str, Mapping[str, float]]]:
        """Of all seeds, those in which these were trained."""
        return [world for each in found for world in each.values() if world.keys() >= {*arms}]

    yield claims.of_share(
        "The more gamma, the fewer violations and the less are answers liked, from 0 to .3: in this share of seeds and"
        " worlds",
        [falls(world) for world in list_worlds(*_GAMMAS)],
        Line(at_least=1.0, neutral=0.5),
        note="UPO always pays for the score with what people like",
    )
    differences = [
        max(abs(world["UPO 0"][name] - figure) for name, figure in world["DPO"].items())
        for world in list_worlds("UPO 0", "DPO")
    ]
    yield claims.of_mean(
        "At gamma 0 UPO's policy is DPO's: the largest difference of any figure in a world",
        differences,
        Line(at_most=0.0, neutral=None),
        figure_paper="0",
    )
    yield claims.of_mean(
        "Where the score has nothing to do with what people like, UPO at gamma .05 stays nearer to the reference than"
        " DPO, by this share of the nats",
        [1 - each["A"]["UPO 0.05"]["kl"] / each["A"]["DPO"]["kl"] for each in found],
        Line(at_least=0.0),
        note="so figures at equal beta are no comparison at an equal divergence",
    )


def _tell_mean(found: Sequence[Measured], kind: str, arm: str) -> float:
    return fmean([each[kind][arm]["violations"] for each in found])


def _draw(file: Path, kind: str, found: Sequence[Measured]) -> None:
    places = []
    for name in found[0][kind]:
        x, y = (find_interval([each[kind][name][figure] for each in found]) for figure in ("win", "violations"))
        places.append(Place(name, x, y))
    about = KINDS[kind].agreement
    title = f"Violations beside what people like: the score's correlation with that is {about:g}"
    draw_places(file, places, title=title, x="share liked better than the reference's", y="share that violates")
