"""What the preference matching paper claims, measured in its world."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from discovery_service.domain.families import Family
from discovery_service.domain.intervals import find_interval
from discovery_service.losses.graph import Graph
from workers.reproduce.arms import Arm
from workers.reproduce.claims import Claim, Claims, Line
from workers.reproduce.drawing import Place, draw_places
from workers.reproduce.in_arenas import Effect, Study
from workers.reproduce.pm.world import SampledAnswers, SpokenPolicy, build, measure
from workers.reproduce.run import Run
from workers.reproduce.training import Recipe, make_generator, train_arm

NAME = "pm"
SEEDS = 5
RECIPE = Recipe(learning_rate=0.01, steps=500)
REFERENCE = "reference"
ARMS = {
    "KL, beta .1": Arm("kl_rlhf", Family.MATCHING, beta=0.1),
    "KL, beta .5": Arm("kl_rlhf", Family.MATCHING, beta=0.5),
    "KL, beta 1": Arm("kl_rlhf", Family.MATCHING, beta=1.0),
    "PM": Arm("pm", Family.MATCHING, beta=1.0),
    "conditional PM": Arm("conditional_pm", Family.MATCHING, beta=1.0),
    "conditional PM, alpha .1": Arm("conditional_pm", Family.MATCHING, beta=1.0, values={"alpha": 0.1}),
}

PICTURED = "KL, beta .5"
"""No claim is of it."""

STUDIES = (
    Study(
        "plurality:mini",
        (
            Effect(
                "In an arena of transformers conditional PM's PM divergence is lower than that of RLHF with a KL, whose"
                " beta is tuned, by",
                *("conditional_pm", "pm_divergence"),
                is_lower=True,
                figure_paper="29 to 41 % lower",
            ),
            Effect(
                "and its divergence from what rewards say of natural answers, in nats, by",
                *("conditional_pm", "kl_to_target"),
                is_lower=True,
            ),
            Effect("and its J, which counts junk as well, is higher by", "conditional_pm", "J"),
        ),
    ),
)

HALF = 0.5

Measured = Mapping[str, Mapping[str, float]]
"""What became of the policy of each arm, and what the reference is."""


def reproduce(run: Run) -> Iterable[Claim]:
    graphs = run.admission.admit({name: arm for name, arm in ARMS.items() if name != PICTURED or not run.is_quick})
    found = run.measure(partial(measure_seed, graphs, run.recipe_of(RECIPE)), run.count_seeds(SEEDS))
    if run.plots is not None:
        _draw(run.plots, found)
    return conclude(found, Claims(NAME, run.is_quick))


def measure_seed(graphs: Mapping[str, Graph], recipe: Recipe, seed: int) -> Measured:
    world = build(make_generator(seed))
    found = {REFERENCE: measure(world, world.reference)}
    for name, graph in graphs.items():
        policy = SpokenPolicy(world.reference)
        train_arm(policy, SampledAnswers(world, policy, make_generator(seed, 1)), ARMS[name], graph, recipe)
        found[name] = measure(world, policy.model)
    return found


def conclude(found: Sequence[Measured], claims: Claims) -> Iterable[Claim]:
    def gain(figure: str, arm: str, other: str) -> list[float]:
        """By which share the arm's is lower than the other's."""
        return [1 - each[arm][figure] / each[other][figure] for each in found]

    divergence = gain("pmd", "conditional PM", "KL, beta 1")
    distance = gain("kl_to_target", "conditional PM", "KL, beta 1")
    half = Line(at_least=HALF)
    yield claims.of_mean(
        "Conditional PM's PM divergence is lower than that of RLHF with the KL at beta 1, by this share",
        divergence,
        half,
        figure_paper="29 to 41 % lower",
    )
    yield claims.of_mean(
        "and its divergence from what rewards say of natural answers, which a policy that collapses cannot game, by"
        " this share",
        distance,
        half,
    )
    yield claims.of_share(
        "Both are lower by half or more in this share of the seeds",
        [one >= HALF and other >= HALF for one, other in zip(divergence, distance, strict=True)],
        Line(at_least=0.8, neutral=0.5),
    )
    yield claims.of_mean(
        "With alpha at .1, where some natural tokens count as unnatural, its PM divergence is lower by this share",
        gain("pmd", "conditional PM, alpha .1", "KL, beta 1"),
        Line(at_least=0.29),
        figure_paper="29 to 41 % lower",
        note="the paper's gain may be one of an alpha that is not between junk and the rarest natural token",
    )
    yield from _conclude_junk(found, claims)
    yield from _conclude_collapse(found, claims, gain("pmd", "KL, beta .1", "KL, beta 1"))
    yield claims.of_mean(
        "Conditional PM's PM divergence is lower than that of RLHF with the KL at beta .1, by this share",
        gain("pmd", "conditional PM", "KL, beta .1"),
        Line(at_least=0.0),
        note="a figure that says little alone: this is the policy that games the PM divergence",
    )


def _conclude_junk(found: Sequence[Measured], claims: Claims) -> Iterable[Claim]:
    yield claims.of_mean(
        "Under conditional PM junk is this many times as likely as under the reference",
        [each["conditional PM"]["junk"] / each[REFERENCE]["junk"] for each in found],
        Line(at_most=3.0, neutral=None),
    )
    yield claims.of_mean(
        "Without the condition PM gives junk with this chance",
        [each["PM"]["junk"] for each in found],
        Line(at_least=0.3, neutral=None),
        note="a control: rewards of junk are noise, and entropy alone does not keep a policy from it",
    )


def _conclude_collapse(found: Sequence[Measured], claims: Claims, gamed: Sequence[float]) -> Iterable[Claim]:
    yield claims.of_mean(
        "RLHF with the KL at beta .1 collapses: so many nats is what rewards say of natural answers away from it",
        [each["KL, beta .1"]["kl_to_target"] for each in found],
        Line(at_least=3.0, neutral=None),
    )
    yield claims.of_mean(
        "and yet its PM divergence is lower than at beta 1, by this share",
        gamed,
        Line(at_least=0.29),
        note="a control, not the paper's: the PM divergence is of the policy's own answers, so that one which gives few"
        " games it, as one that gives a single answer has none",
    )


def _draw(folder: Path, found: Sequence[Measured]) -> None:
    places = []
    for name in found[0]:
        x, y = (find_interval([each[name][figure] for each in found]) for figure in ("kl_to_target", "pmd"))
        places.append(Place(name, x, y))
    draw_places(
        folder / "pm_divergence.png",
        places,
        title="The PM divergence beside the divergence from what rewards say of natural answers",
        x="nats from the target to the policy",
        y="PM divergence",
    )
