"""What the paper of CPO and DR-CPO claims, measured in its world."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.domain.intervals import Interval, find_interval
from discovery_service.losses.graph import Graph
from workers.reproduce.arms import Arm
from workers.reproduce.claims import Claim, Claims, Line
from workers.reproduce.cpo.estimators import by_model, by_propensity, doubly
from workers.reproduce.cpo.policy import RecordedRows, TextPolicy
from workers.reproduce.cpo.world import (
    CONFOUNDED_ROWS,
    ROWS,
    Rows,
    build,
    cross_fit,
    draw_texts,
    fit_outcomes,
    hand_out,
    let_choose,
    mistake,
    tell_chances,
)
from workers.reproduce.drawing import draw_bars
from workers.reproduce.in_arenas import Effect, Study
from workers.reproduce.run import Run
from workers.reproduce.training import Recipe, make_generator, train_arm

NAME = "cpo"
SEEDS = 15
WORLDS, REPLICATES = 20, 20
"""Of the estimates: 400 in all."""
SAMPLED = 4_000
LAM = 0.3
"""Of the KL to the start: without it weights end on a few texts."""
RECIPE = Recipe(learning_rate=0.01, steps=300)
ARMS = {name: Arm(name, Family.OUTCOME, beta=LAM) for name in ("sft_best_half", "oo_rlhf", "cpo", "dr_cpo")}

STUDIES = (
    Study(
        "outcome-confounded:mini",
        (
            Effect(
                "In an arena whose outcome model is confounded DR-CPO's policy has a higher J than OO-RLHF's, by",
                *("dr_cpo", "J"),
                figure_paper="higher",
            ),
            Effect("and CPO's has, by", "cpo", "J", figure_paper="higher"),
            Effect(
                "and DR-CPO's one higher than CPO's, by",
                *("dr_cpo", "J"),
                than="cpo",
                figure_paper="usually best",
                note="what the confounded model adds the weights have to take back",
            ),
        ),
    ),
    Study(
        "outcome-misjudged:mini",
        (
            Effect(
                "In an arena whose propensities are wrong DR-CPO's policy has a higher J than CPO's, by",
                *("dr_cpo", "J"),
                than="cpo",
                figure_paper="higher",
            ),
        ),
    ),
)

Values = Mapping[str, float]
"""The true value of the policy of each arm, by loss and by what was known."""


def reproduce(run: Run) -> Iterable[Claim]:
    graphs = run.admission.admit(ARMS)
    estimates = run.measure(estimate, WORLDS)
    found = run.measure(partial(measure_seed, graphs, run.recipe_of(RECIPE)), run.count_seeds(SEEDS))
    if run.plots is not None:
        _draw(run.plots, estimates, found)
    claims = Claims(NAME, run.is_quick)
    return [*conclude_estimates(estimates, claims), *conclude(found, claims)]


def measure_seed(graphs: Mapping[str, Graph], recipe: Recipe, seed: int) -> Values:
    generator = make_generator(seed)
    world = build(generator)
    rows = hand_out(world, ROWS, generator)
    sampled = draw_texts(world.start_chances, SAMPLED, generator)
    confounded = fit_outcomes(let_choose(world, CONFOUNDED_ROWS, generator))
    misled = confounded[rows.texts], confounded
    fitted = cross_fit(rows)
    known = world.propensity
    mistaken = mistake(known, generator)
    cases = {
        "sft_best_half": ("sft_best_half", known, fitted),
        "oo_rlhf, confounded": ("oo_rlhf", known, misled),
        "oo_rlhf, fitted": ("oo_rlhf", known, fitted),
        "cpo": ("cpo", known, fitted),
        "cpo, wrong propensity": ("cpo", mistaken, fitted),
        "dr_cpo, confounded": ("dr_cpo", known, misled),
        "dr_cpo, fitted": ("dr_cpo", known, fitted),
        "dr_cpo, wrong propensity": ("dr_cpo", mistaken, fitted),
    }
    best = (world.start_chances.log() + world.truth / LAM).softmax(0)
    values = {"start": world.find_value(world.start_chances), "best": world.find_value(best)}
    for name, (loss, propensity, predicted) in cases.items():
        policy = TextPolicy(world.start)
        batches = RecordedRows(world, rows, sampled, propensity, predicted, make_generator(seed, 1))
        train_arm(policy, batches, ARMS[loss], graphs[loss], recipe)
        values[name] = world.find_value(tell_chances(policy.model))
    return values


def estimate(number: int) -> Values:
    """In one world, over replicates of the rows: by how much each estimator is off the value of one policy on average,
    and how much it scatters."""
    generator = make_generator(500 + number)
    world = build(generator)
    start, known = world.start_chances, world.propensity
    propensities = known, mistake(known, generator)
    models = world.truth, fit_outcomes(let_choose(world, CONFOUNDED_ROWS, generator))
    policy = (start.log() + world.truth).softmax(0)
    value = world.find_value(policy)
    errors: dict[str, list[float]] = {}
    for _ in range(REPLICATES):
        rows = hand_out(world, ROWS, generator)
        sampled = draw_texts(start, SAMPLED, generator)
        for name, each in _estimate_all(policy, start, propensities, models, rows, sampled).items():
            errors.setdefault(name, []).append(float(each) - value)
    found = {f"bias of {name}": fmean(each) for name, each in errors.items()}
    return found | {f"scatter of {name}": stdev(each) for name, each in errors.items()}


def _estimate_all(
    policy: Tensor,
    start: Tensor,
    propensities: tuple[Tensor, Tensor],
    models: tuple[Tensor, Tensor],
    rows: Rows,
    sampled: Tensor,
) -> dict[str, Tensor]:
    """Each nuisance right first, and wrong second."""
    found = {"wrong model": by_model(policy, start, sampled, models[1])}
    for propensity, told in zip(propensities, ("", ", wrong propensity"), strict=True):
        found[f"weights{told}"] = by_propensity(policy, propensity, rows)
        for model, of_model in zip(models, ("true model", "wrong model"), strict=True):
            found[f"doubly robust, {of_model}{told}"] = doubly(policy, propensity, rows, start, sampled, model)
    return found


def conclude_estimates(found: Sequence[Values], claims: Claims) -> Iterable[Claim]:
    """Of a policy that does not change."""

    def list_biases(name: str) -> list[float]:
        return [each[f"bias of {name}"] for each in found]

    for wrong, name in (
        ("the outcome model is confounded", "doubly robust, wrong model"),
        ("the propensity is wrong", "doubly robust, true model, wrong propensity"),
    ):
        biases = list_biases(name)
        error = stdev(biases) / len(biases) ** 0.5
        yield claims.of_mean(
            f"The doubly robust value has no bias where only {wrong}: within four standard errors",
            biases,
            Line(-4 * error, 4 * error, neutral=None),
            figure_paper="0",
        )
    yield claims.of_mean(
        "It is off where both are wrong",
        list_biases("doubly robust, wrong model, wrong propensity"),
        Line(at_least=0.5),
        note="a control: the bias is the product of both errors",
    )
    yield claims.of_mean("The confounded outcome model alone is off", list_biases("wrong model"), Line(at_most=-0.5))
    yield claims.of_mean(
        "With the true model the doubly robust value scatters less than that by propensity, by this share",
        [1 - each["scatter of doubly robust, true model"] / each["scatter of weights"] for each in found],
        Line(at_least=0.0),
    )


def conclude(found: Sequence[Values], claims: Claims) -> Iterable[Claim]:
    """Of policies that are trained."""

    def subtract(one: str, other: str) -> list[float]:
        return [each[one] - each[other] for each in found]

    confounded = subtract("dr_cpo, confounded", "oo_rlhf, confounded")
    yield claims.of_mean(
        "DR-CPO's policy has a higher true value than OO-RLHF's where the outcome model is confounded, by",
        confounded,
        Line(at_least=0.15),
        figure_paper="higher",
    )
    yield claims.of_share(
        "and has in this share of the seeds", [each > 0 for each in confounded], Line(at_least=0.7, neutral=0.5)
    )
    yield claims.of_mean(
        "Where the propensity is wrong DR-CPO's is higher than CPO's, by",
        subtract("dr_cpo, wrong propensity", "cpo, wrong propensity"),
        Line(at_least=0.15),
        figure_paper="higher",
        note="wrong propensities are off by factors of which the logarithm's standard deviation is 1; the next figure"
        " says how little they cost, so that there is hardly anything to be made good",
    )
    yield claims.of_mean(
        "Such a propensity costs CPO's policy, of its true value,",
        subtract("cpo", "cpo, wrong propensity"),
        Line(at_least=0.15),
        note="a control: what DR-CPO is to make good",
    )
    yield claims.of_mean(
        "CPO's is higher than that of fine-tuning on the better half, by",
        subtract("cpo", "sft_best_half"),
        Line(at_least=0.15),
        figure_paper="higher",
    )
    yield from _conclude_limits(found, claims)


def _conclude_limits(found: Sequence[Values], claims: Claims) -> Iterable[Claim]:
    """The paper has DR-CPO best in most settings; where a nuisance is known well there are better ones."""
    for one, other, claim, note in (
        (
            "dr_cpo, confounded",
            "cpo",
            "With a confounded model and the right propensity DR-CPO's is no lower than CPO's: higher by",
            "a wrong model is noise that weights have to take back, so that none is expected to be the better choice",
        ),
        (
            "dr_cpo, fitted",
            "cpo",
            "With a model of the randomised rows DR-CPO's is higher than CPO's, by",
            "a ridge regression of 400 rows as noisy as these takes little noise from the weights",
        ),
        (
            "dr_cpo, fitted",
            "oo_rlhf, fitted",
            "With a model of the randomised rows it is higher than OO-RLHF's, by",
            "a model that is right needs no weights, so that the plain outcome model is expected to win there",
        ),
    ):
        values = [each[one] - each[other] for each in found]
        yield claims.of_mean(claim, values, Line(at_least=0.0), figure_paper="usually best", note=note)

    def find_harder(*cases: str) -> str:
        return min(cases, key=mean_of)

    def mean_of(case: str) -> float:
        return fmean([each[case] for each in found])

    # By the means: the least of two figures of every seed is lower than either, and the more so the more they scatter.
    mine = find_harder("dr_cpo, confounded", "dr_cpo, wrong propensity")
    its = max(
        find_harder("oo_rlhf, confounded", "oo_rlhf, fitted"), find_harder("cpo", "cpo, wrong propensity"), key=mean_of
    )
    yield claims.of_mean(
        "At the harder of a confounded model and a wrong propensity DR-CPO's is higher than those of the two that rely"
        " on one of them, at their harder ones, by",
        [each[mine] - each[its] for each in found],
        Line(at_least=0.0),
        figure_paper="robust",
        note=f"chosen by their means: {mine}, beside {its}",
    )


def _draw(folder: Path, estimates: Sequence[Values], found: Sequence[Values]) -> None:
    names = [name.removeprefix("bias of ") for name in estimates[0] if name.startswith("bias of ")]
    bars = []
    for name in names:
        bias, scatter = (fmean([each[f"{what} of {name}"] for each in estimates]) for what in ("bias", "scatter"))
        bars.append((_break(name), Interval(bias, bias - scatter, bias + scatter, len(estimates))))
    draw_bars(folder / "cpo_bias.png", bars, title="A policy's value, estimated: bias and scatter", y="off by")
    bars = [(_break(name), find_interval([each[name] for each in found])) for name in found[0]]
    draw_bars(folder / "cpo_value.png", bars, title="What trained policies are worth", y="true value")


def _break(name: str) -> str:
    """Into lines that fit below a bar."""
    return name.replace(", ", ",\n").replace("wrong propensity", "wrong\npropensity")
