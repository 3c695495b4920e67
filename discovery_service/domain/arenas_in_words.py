"""What a proposer is told of an arena: what labels mean, what the inputs carry, how large they are, what is measured.

Never how the labels come about, nor what would serve best. What is told depends on nothing that a loss is not given, so
that a planted arena, its variants and the control beside it are told in the same words. Names and summaries of arenas
give away more; no prompt has them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from discovery_service.domain.arenas import ArenaKind
from discovery_service.domain.described_arenas import find_start
from discovery_service.domain.families import Family
from discovery_service.domain.tuning_plans import Point, TuningPlan, Walk, find_plan
from discovery_service.domain.user_arenas import counted_metric

_UNITS = "Log-probabilities are in nats, summed over the tokens of an answer. Lengths are in tokens."
_LABELS = (
    "How annotators judge is not known. A label may be noise, annotators may differ, and they may go by something else"
    " than what is measured."
)


def tell_arena(document: Mapping[str, Any]) -> list[str]:
    """One fact a sentence or two, of the arena of the document, built in or an operator's."""
    if document["kind"] == ArenaKind.SYNTHETIC:
        tell = _SYNTHETIC[Family(document["family"])]
        return [*tell(document), _of_training(document)]
    return [*_of_operators(document), _of_training(document)]


def _of_pairs(document: Mapping[str, Any]) -> Iterator[str]:
    world, recipe = document["world"], document["recipe"]
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
    if "rule" in world:
        yield (
            "A rule that annotators were not told of scores every answer: -1 where it breaks the rule, else 0. What"
            " they prefer may go with it, against it or its own way. `prompt_value` was learnt from the scores of the"
            " rows, before training."
        )
    if "taste_spread" in world:
        yield "`annotator` is -1 in every row: who labelled is not known."
    elif world["sloppy"]:
        yield "Two annotators labelled the rows; `annotator` is 0 or 1 and tells which of them."
    else:
        yield "`annotator` is 0 in every row."
    where = (
        " Prompts of the rows are how texts begin; those that are measured on come from the middle of texts."
        if world["on_excerpts"]
        else ""
    )
    yield (
        f"{_tell_reward(recipe)} J is the mean reward less the KL divergence from the base policy{_cost(world)}.{where}"
    )


def _tell_reward(recipe: Mapping[str, Any]) -> str:
    return (
        f"After training the policy answers {recipe['evaluation_texts']:,} prompts. The reward scores the words of an"
        " answer; neither loss nor policy is given it. The base policy's answers have a reward of about 0, with a"
        " standard deviation of about 2."
    )


def _cost(world: Mapping[str, Any]) -> str:
    return f", less {world.get('violation_cost', 0):g} for each answer that breaks the rule" if "rule" in world else ""


def _of_outcomes(document: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "A row is a prompt, an answer that was recorded with what one reader made of it, its outcome, and another"
        " answer to the same prompt that the base policy sampled, of which nobody knows an outcome. The base policy is"
        " also the reference."
    )
    yield (
        "`behavior_logps` are what is believed of how answers came to be recorded: from the base policy at temperature"
        f" {document['world']['temperature']:g}. `predicted_outcomes` come from an outcome model that is linear in an"
        " answer's words. Either may be wrong, the model also in that it learnt from readers who chose what they read."
    )
    yield (
        "Log-probabilities are in nats, summed over the tokens of an answer. Answers have up to 20 tokens; the"
        " reference gives a token about -2.3 nats. Outcomes have a standard deviation of about 2.7; a little more than"
        " half of the variance is noise."
    )
    yield f"{_tell_reward(document['recipe'])} J is the mean reward less the KL divergence from the base policy."


def _of_answers(document: Mapping[str, Any]) -> Iterator[str]:
    world = document["world"]
    yield (
        f"A row is an answer of {world['length']} tokens that the policy itself sampled just now to one of"
        f" {world['prompts']} prompts, as many to each. The base policy is the reference. Of the"
        f" {world['natural'] + world['junk']} tokens {world['junk']} are junk, which the reference says rarely: of its"
        f" answers some {100 * world['junk_mass']:.2g} % have junk in them."
    )
    yield (
        "Rewards are those of a reward model: of natural answers the log-odds, as Bradley and Terry have them, with a"
        " mean of 0 and a standard deviation of 1 for each prompt; of junk they mean nothing."
    )
    yield "Log-probabilities are in nats, of each token. `mask` is 1 everywhere."
    yield (
        "After training every answer of the policy is known with its chance. What is wanted is a policy that gives each"
        " natural answer as often as it would be preferred, exp(reward) over the sum of all natural ones. J is minus"
        " the KL divergence of the policy from that, summed over natural answers: some -0.9 of the reference, 0 at"
        " best. Junk counts against it."
    )


_SYNTHETIC: Mapping[Family, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    Family.PAIRWISE: _of_pairs,
    Family.AUXILIARY: _of_pairs,
    Family.OUTCOME: _of_outcomes,
    Family.MATCHING: _of_answers,
}


def _of_operators(document: Mapping[str, Any]) -> Iterator[str]:
    evaluation, recipe, lora = document["evaluation"], document["recipe"], document["lora"]
    family = Family(document["family"])
    trained = "all its weights are trained" if lora is None else f"a LoRA adapter of rank {lora['r']} is trained"
    yield f"A row is {_ROWS[family]}, {recipe['max_length']:,} tokens at most together with the prompt."
    yield (f"The policy is a language model of which {trained}; the reference is that model before training.")
    yield from _FAMILIES[family]
    yield _UNITS
    if family is Family.MATCHING:
        yield f"{recipe['group']} answers have one prompt, and share its `group`."
    else:
        measured = "value" if family is Family.OUTCOME else "accuracy"
        yield f"A draw holds out {evaluation['held_out'] * 100:.3g} % of the rows; {measured} is measured on them."
    if evaluation["scorer"] is not None:
        yield (
            f"The policy answers up to {evaluation['prompts']:,} of the held-out prompts in up to"
            f" {evaluation['max_new_tokens']:,} tokens. {_tell_scorer(family, evaluation['scorer'])} J is the mean"
            f" score less {evaluation['kl_weight']:g} times the KL divergence from the reference."
        )
    yield f"Losses are compared by {counted_metric(document)}."


_ROWS: Mapping[Family, str] = {
    Family.PAIRWISE: "a prompt and two answers out of an operator's data",
    Family.AUXILIARY: "a prompt and two answers out of an operator's data",
    Family.OUTCOME: "a prompt, an answer and what came of it, out of an operator's data",
    Family.MATCHING: "an answer that the policy itself sampled just now to a prompt of an operator's",
}
_OF_PAIRS = (
    "`chosen` is the answer that was preferred.",
    _LABELS,
    "`annotator` is the number that the data give, -1 where they give none.",
)
_FAMILIES: Mapping[Family, tuple[str, ...]] = {
    Family.PAIRWISE: _OF_PAIRS,
    Family.AUXILIARY: (
        *_OF_PAIRS,
        "Auxiliary scores are the operator's own. `prompt_value` was learnt from those of the rows before training.",
    ),
    Family.OUTCOME: (
        "The sampled answer is the reference's own, to the same prompt. Outcomes are predicted by a model that was"
        " fitted to rows of other prompts; it may be wrong, and so may the propensities that the data give.",
    ),
    Family.MATCHING: (),
}


def _tell_scorer(family: Family, scorer: Mapping[str, Any]) -> str:
    told = _SCORERS[scorer["kind"]]
    return f"{told} The rewards of rows are such scores." if family is Family.MATCHING else f"{told}{_HIDDEN}"


_HIDDEN = " Neither loss nor policy is given it."
_SCORERS: Mapping[str, str] = {
    "function": "A function of the operator's scores an answer.",
    "regex": "The score of an answer is 1 where a pattern of the operator's is found in it, else 0.",
    "length": "The score of an answer is minus the number of words by which it misses a length.",
}


def _of_training(document: Mapping[str, Any]) -> str:
    recipe = document["recipe"]
    known = next((recipe[each] for each in ("pairs", "rows") if each in recipe), None)
    rows = "" if known is None else f" out of {known:,}"
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
