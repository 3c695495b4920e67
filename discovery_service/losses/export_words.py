"""The docstring of an exported loss: what it is, who proposed it, what was measured, and what was not.

No number stands without its interval, and a loss that is no confirmed discovery says what was shown of it before
anything else.
"""

import textwrap
from collections.abc import Iterator

from discovery_service.domain.authors import Author
from discovery_service.domain.families import PAIRS
from discovery_service.domain.intervals import Interval
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.metrics import OWN
from discovery_service.domain.verdicts import Verdict
from discovery_service.losses.exported import Evaluated, Facts, Met, Tuned
from discovery_service.losses.known import list_known
from discovery_service.losses.passport import describe_oddities, describe_passport
from discovery_service.losses.source import CheckedSource

_WIDTH = 112
_INDENT = "  "
_BEHAVIOUR = "Behaviour (z is beta times the margin)"
_SHOWN = ("attained", "reward", "kl", *OWN)
_UNCONFIRMED = "UNCONFIRMED: no confirmation on fresh draws has shown that this loss is better than anything."
_STOPPED = "UNCONFIRMED: the halving of its round stopped this loss in its tuning, compared with nothing."
_NO_BETTER = "It is not shown to be better than the best known loss of its campaign's screen."
NO_DISCOVERY = "Do not report it as a discovery."
AUTHORS = {
    Author.LIBRARY: "Not a discovery: a known loss of the library, published by people.",
    Author.HUMAN: "Proposed by a person.",
    Author.LLM: "Proposed by the language model {model}.",
    Author.RECORDED: "Proposed by a recorded reply of a language model ({model}): recorded earlier and played again, so"
    " no search by a model has found it.",
    Author.SYMBOLIC: "Proposed by the symbolic search, without a language model.",
}


def tell_loss(facts: Facts, checked: CheckedSource) -> str:
    """Without the quotes around it; what others wrote in it has no character that steers a terminal."""
    parts = [*_tell_head(facts, checked), *_tell_origin(facts)]
    for title, lines in (
        ("Evaluated", list(_tell_evaluated(facts))),
        ("Known weaknesses", list(_tell_weaknesses(facts))),
        ("What it needs of your rows", list(_tell_needs(facts))),
        (_BEHAVIOUR if facts.family in PAIRS else "Behaviour", describe_passport(facts.passport)),
        ("How it was not tested", list(_tell_untested(facts, checked))),
    ):
        if lines:
            parts.append("\n".join([f"{title}:", *(_wrap(f"- {line}", _INDENT, f"{_INDENT}  ") for line in lines)]))
    return clean("\n\n".join(parts))


def tell_shown(facts: Facts) -> str:
    """In one line, of the arena of its search."""
    confirmation = facts.confirmation
    verdicts = [] if confirmation is None else [met for met in confirmation.met if met.verdict]
    if confirmation is None or not verdicts:
        return _STOPPED if facts.tuned is not None and facts.tuned.is_stopped else _UNCONFIRMED
    met, where = verdicts[0], f"on fresh draws in {confirmation.arena}"
    if met.verdict == Verdict.BETTER:
        told = f"CONFIRMED BETTER than {met.against} by {_tell_interval(met.difference)}"
    elif met.verdict == Verdict.WORSE:
        told = f"CONFIRMED WORSE than {met.against} by {_tell_interval(_turn(met.difference))}"
    else:
        less = f"less {met.against}'s {_tell_interval(met.difference, signed=True)}"
        told = f"NOT DISTINGUISHABLE from {met.against}: {less}{_tell_where_not(met)}"
    return clean(f"{told} ({100 * met.level:.4g} %), {where}.")


def _turn(interval: Interval) -> Interval:
    low, high = interval.low, interval.high
    return Interval(
        -interval.mean, None if high is None else -high, None if low is None else -low, draws=interval.draws
    )


def _tell_head(facts: Facts, checked: CheckedSource) -> Iterator[str]:
    yield _wrap(f"{facts.name}: a loss of the family {facts.family.value} for training language models.")
    if not facts.is_confirmed:
        luck = " What a search shows of its best is more luck than merit." if _is_screened_only(facts) else ""
        yield _wrap(f"{tell_shown(facts)}{luck} {NO_DISCOVERY}")
    elif facts.confirmation is not None:
        yield from (
            _wrap(f"{_NO_BETTER} {_tell_met(met)}")
            for met in facts.confirmation.met[1:]
            if met.verdict and met.verdict != Verdict.BETTER
        )
    if facts.formula:
        yield f"{_INDENT}{facts.formula}"
    values = ", ".join(f"{each.name} = {each.value!r}" for each in checked.hyperparameters)
    if values:
        yield _wrap(f"Hyper-parameters, at the values with which it was evaluated: {values}.")


def _is_screened_only(facts: Facts) -> bool:
    chosen = facts.author is not Author.LIBRARY
    return chosen and bool(facts.evaluated) and not any(each.has_verdict for each in facts.evaluated)


def _tell_origin(facts: Facts) -> Iterator[str]:
    told = [AUTHORS[facts.author].format(model=facts.model or "of an unknown name")]
    looked_at = (
        f", in which {_count(facts.looked_at, 'candidate was', 'candidates were')} looked at" if facts.looked_at else ""
    )
    told.append(f"From the campaign {facts.campaign!r}{looked_at}.")
    if facts.known_as:
        papers = {each.name: each.paper for each in list_known(facts.family)}
        names = (f"{name} ({papers[name]})" if name in papers else name for name in facts.known_as)
        told.append(f"Known as {' and '.join(names)}: up to the scale of beta it behaves like that.")
    gate = f"The gate compiled it with torch {facts.torch_version} to the graph {facts.graph_sha256}"
    ran = " and found that the source, run in this form, computes the same" if facts.is_executed else ""
    told.append(f"{gate}{ran}.")
    yield _wrap(" ".join(told))


def _tell_evaluated(facts: Facts) -> Iterator[str]:
    for each in facts.evaluated:
        yield _tell_place(each)
    if facts.tuned is not None:
        yield _tell_tuned(facts.tuned)
    elif not facts.evaluated:
        yield "Nowhere: nothing was measured."


def _tell_tuned(tuned: Tuned) -> str:
    done = f"{_count(tuned.trainings, 'training')} on {_count(tuned.draws, 'tune draw')}"
    end = "The halving of its round stopped it there" if tuned.is_stopped else "It was not screened"
    return (
        f"{tuned.arena} (where it was searched), tuned only: {done}. {end}: that compares it with nothing, and its"
        " numbers are not told."
    )


def _tell_place(each: Evaluated) -> str:
    where = f"{each.arena} ({'where it was searched' if each.is_search_arena else 'held out'})"
    stage = _tell_stage(each)
    setting = f"beta {each.setting.beta:g}, learning rate {each.setting.learning_rate:g} and {each.setting.steps} steps"
    draws = f"{_count(each.draws, 'draw')} over {_count(len(each.base_policies), 'base policy', 'base policies')}"
    told = f"{where}, {stage}: {draws} at {setting}; {each.counts} counts there."
    told += f" It failed on {_count(each.failed, 'draw')}." if each.failed else ""
    told += "".join(f" {_tell_met(met)}" for met in each.met)
    told += " These intervals are not joint." if sum(met.verdict is not None for met in each.met) > 1 else ""
    told += " It was compared with nothing there." if not each.met else ""
    told += _tell_before(each)
    shown = dict.fromkeys((each.counts, *_SHOWN))
    means = [f"{name} {_tell_interval(mean)}" for name in shown if (mean := (each.means or {}).get(name))]
    return f"{told} Its own means: {', '.join(means)}." if means else told


def _tell_before(each: Evaluated) -> str:
    """What an extension of the campaign has confirmed again had two chances to be better."""
    if not each.before:
        return ""
    told = " ".join(map(_tell_met, each.before))
    chances = f"Before its campaign was extended it was confirmed {_count(len(each.before), 'time')} there already"
    return f" {chances}, so that it had {len(each.before) + 1} chances: {told}"


def _tell_met(met: Met) -> str:
    shown = f"less {met.against}'s {_tell_interval(met.difference, signed=True)} ({100 * met.level:.4g} %)"
    if met.verdict is None:
        return f"Screened {shown}."
    return f"{met.verdict.capitalize()} {met.against}: {shown}{_tell_where_not(met)}."


def _tell_where_not(met: Met) -> str:
    """Why an interval above zero is none of a find."""
    is_above = met.difference.low is not None and met.difference.low > 0
    if met.verdict == Verdict.BETTER or not is_above or not met.not_better_under:
        return ""
    return f", but not better under base policy {', '.join(map(str, met.not_better_under))}"


def _tell_stage(each: Evaluated) -> str:
    if each.has_verdict:
        return "confirmed on fresh draws"
    return "trained on fresh draws, without a verdict" if each.is_confirmation else "screened, which confirms nothing"


def _tell_interval(interval: Interval, *, signed: bool = False) -> str:
    form = "+.3f" if signed else ".3f"
    if interval.low is None or interval.high is None:
        return f"{interval.mean:{form}} (one draw, without an interval)"
    return f"{interval.mean:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def _tell_weaknesses(facts: Facts) -> Iterator[str]:
    oddities = describe_oddities(facts.passport)
    yield from oddities or ["The probes found nothing odd."]
    if facts.passport["is_batch_coupled"]:
        yield "A row's loss depends on the rest of its batch, so that another batch size is another loss."
    yield from tell_no_better(facts)


def tell_no_better(facts: Facts) -> Iterator[str]:
    """Than whom and where it was confirmed not to be."""
    for each in facts.evaluated:
        where = each.arena if each.is_search_arena else f"{each.arena}, which was held out"
        yield from (
            f"It is {met.verdict} {met.against} in {where}."
            for met in each.met
            if met.verdict and not met.verdict.startswith("better")
        )


def _tell_needs(facts: Facts) -> Iterator[str]:
    uses = facts.passport.get("uses", {})
    if uses.get("annotator"):
        yield (
            "Who labelled each (`annotator`). Its numbers are those of its arena's annotators and mean nobody of yours:"
            " read in the code what it does with each. Where nobody is known (-1) it may be another loss."
        )
    if uses.get("lengths"):
        yield "Answers of differing length: where all are equally long it may be another loss."
    if uses.get("prompt_value"):
        yield "What auxiliary score is to be expected of each prompt."
    if uses.get("behavior"):
        yield "How likely each recorded answer was where it was recorded; wrong ones make it wrong."


def _tell_untested(facts: Facts, checked: CheckedSource) -> Iterator[str]:
    if not facts.evaluated:
        yield "Neither screened nor confirmed: on no draw was it compared with another loss."
    elif facts.author is Author.LIBRARY:
        reference = REFERENCE_LOSSES[facts.family]
        yield f"Not against {reference} with a verdict: as a known loss it is what others are compared with."
    elif not any(each.has_verdict for each in facts.evaluated):
        yield "Not confirmed: its numbers are those by which it was chosen."
    if not any(not each.is_search_arena for each in facts.evaluated):
        yield "In no arena but the one in which it was searched."
    yield "With no other model, data, optimiser or batch size than its arenas', and at no scale above theirs."
    yield "By no human judge and on no benchmark of abilities: only by the metrics of those arenas."
    if checked.hyperparameters:
        uses_beta = facts.passport.get("uses", {}).get("beta")
        tuned = "beta and learning rate" if uses_beta else "learning rate and number of steps"
        yield f"At no other values of its hyper-parameters: only {tuned} were tuned."
    if not facts.is_executed:
        yield "As Python by the gate, whose lock was not complete there: only its graph was trained; use --check."


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def _wrap(text: str, first: str = "", rest: str = "") -> str:
    return "\n".join(
        textwrap.wrap(
            text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
        )
    )


def clean(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
