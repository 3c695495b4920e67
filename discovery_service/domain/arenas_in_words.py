"""What a proposer is told of an arena: what labels mean, what the inputs carry, how large they are, what is measured.

Never how the labels come about, nor what would serve best. What is told depends on nothing that a loss is not given, so
that a planted arena, its variants and the control beside it are told in the same words. Names and summaries of arenas
give away more; no prompt has them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from discovery_service.domain.arenas import ArenaKind
from discovery_service.domain.described_arenas import find_start
from discovery_service.domain.tuning_plans import Point, TuningPlan, Walk, find_plan
from discovery_service.domain.user_arenas import counted_metric

MEANINGS: Mapping[str, str] = {
    "J": "reward or score less KL",
    "reward": "mean reward of sampled answers",
    "score": "mean score of sampled answers",
    "kl": "divergence of the policy from the reference, in nats an answer",
    "accuracy": "share of held-out pairs in which the policy has gained more on the preferred answer",
    "win_rate": "share of prompts on which its answer is worth more than the reference's",
    "attained": "share of what could be gained in J over the reference",
    "length": "tokens of a sampled answer",
    "diversity": "share of neighbouring words that sixteen sampled texts do not have twice",
    "disagreement": "share of pairs ordered otherwise than most annotators would",
    "proxy_reward": "mean of a reward fitted to the pairs",
}
"""Of the metrics that a measurement may have."""

_UNITS = "Log-probabilities are in nats, summed over the tokens of an answer. Lengths are in tokens."
_LABELS = (
    "How annotators judge is not known. A label may be noise, annotators may differ, and they may go by something else"
    " than what is measured."
)


def tell_arena(document: Mapping[str, Any]) -> list[str]:
    """One fact a sentence or two, of the arena of the document, built in or an operator's."""
    if document["kind"] == ArenaKind.SYNTHETIC:
        return [*_of_synthetic(document["world"], document["recipe"]), _of_training(document)]
    return [*_of_operators(document), _of_training(document)]


def _of_synthetic(world: Mapping[str, Any], recipe: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "A row is a prompt and two answers that the base policy wrote; the base policy is also the reference."
        " `chosen` is the answer that the row's annotator preferred."
    )
    yield _LABELS
    yield _UNITS
    if world["p_stop"]:
        yield (
            "Answers have 2 to 20 tokens, 14 on average; in seven rows of ten the two differ in length. The reference"
            " gives a token about -2.3 nats, so an answer from -3 to -48."
        )
    else:
        yield (
            "Every answer has 20 tokens. The reference gives a token about -2.3 nats, so an answer about -46; the two"
            " of a row differ by about 2 nats under it (standard deviation)."
        )
    if world["sloppy"]:
        yield "Two annotators labelled the rows; `annotator` is 0 or 1 and tells which of them."
    else:
        yield "`annotator` is 0 in every row."
    where = (
        " Prompts of the rows are how texts begin; those that are measured on come from the middle of texts."
        if world["on_excerpts"]
        else ""
    )
    yield (
        f"After training the policy answers {recipe['evaluation_texts']:,} prompts. The reward scores the words of an"
        " answer; neither loss nor policy is given it. The base policy's answers have a reward of about 0, with a"
        f" standard deviation of about 2. J is the mean reward less the KL divergence from the base policy.{where}"
    )


def _of_operators(document: Mapping[str, Any]) -> Iterator[str]:
    evaluation, recipe, lora = document["evaluation"], document["recipe"], document["lora"]
    trained = "all its weights are trained" if lora is None else f"a LoRA adapter of rank {lora['r']} is trained"
    yield (
        f"A row is a prompt and two answers out of an operator's data, {recipe['max_length']:,} tokens at most together"
        f" with the prompt. The policy is a language model of which {trained}; the reference is that model before"
        " training. `chosen` is the answer that was preferred."
    )
    yield _LABELS
    yield _UNITS
    yield "`annotator` is the number that the data give, -1 where they give none."
    yield f"A draw holds out {evaluation['held_out'] * 100:.3g} % of the rows; accuracy is measured on them."
    if evaluation["scorer"] is not None:
        yield (
            f"The policy answers up to {evaluation['prompts']:,} of the held-out prompts in up to"
            f" {evaluation['max_new_tokens']:,} tokens. {_SCORERS[evaluation['scorer']['kind']]} J is the mean score"
            f" less {evaluation['kl_weight']:g} times the KL divergence from the reference."
        )
    yield f"Losses are compared by {counted_metric(document)}."


_SCORERS: Mapping[str, str] = {
    "function": "A function of the operator's scores an answer; neither loss nor policy is given it.",
    "regex": "The score of an answer is 1 where a pattern of the operator's is found in it, else 0.",
    "length": "The score of an answer is minus the number of words by which it misses a length.",
}


def _of_training(document: Mapping[str, Any]) -> str:
    recipe = document["recipe"]
    rows = f" out of {recipe['pairs']:,}" if "pairs" in recipe else ""
    return (
        f"A step takes {recipe['batch']} rows{rows}; a training has {find_start(document).steps} steps where tuning"
        f" says nothing else. AdamW, gradients clipped at norm {recipe['clip']:g}."
    )


def tell_tuning(document: Mapping[str, Any]) -> str:
    """Among which settings the best one of a loss is found, the same for every loss."""
    plan = find_plan(document)
    with_beta, without = plan.with_beta, plan.without_beta
    first = [plan.setting_at(point).beta for point in with_beta.first]
    return (
        f"Each loss gets {plan.trainings} trainings to find its best setting: beta at {_list(sorted(first))}, then by"
        f" factors of two or four to where that leads, at a learning rate of {_rates(plan, with_beta)} and"
        f" {_steps(plan, with_beta)} steps; without beta learning rates of {_rates(plan, without)} and"
        f" {_steps(plan, without)} steps."
    )


def _rates(plan: TuningPlan, walk: Walk) -> str:
    rungs = range(walk.low.rungs, walk.high.rungs + 1)
    return _list([plan.setting_at(Point(rungs=each)).learning_rate for each in rungs], "or")


def _steps(plan: TuningPlan, walk: Walk) -> str:
    doublings = range(walk.low.doublings, walk.high.doublings + 1)
    return _list([plan.setting_at(Point(doublings=each)).steps for each in doublings], "or")


def _list(numbers: list[float] | list[int], joint: str = "and") -> str:
    *first, last = (f"{each:g}" for each in numbers)
    return f"{', '.join(first)} {joint} {last}" if first else last
