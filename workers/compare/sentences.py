"""A comparison in words and in a table; no number without its interval."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from discovery_service.domain.freezing import Role
from discovery_service.domain.intervals import LEVEL
from discovery_service.domain.metrics import OWN
from discovery_service.domain.power import POWER
from discovery_service.domain.verdicts import Verdict
from workers.evaluate.answer import tell_failure, tell_interval

Document = Mapping[str, Any]
_SHOWN = ("attained", "reward", "kl", *OWN)
_SIZES = ("beta", "learning_rate", "steps")


def tell_verdict(loss: Document, comparison: Document) -> str:
    """Of one loss, without its name."""
    against, is_reference = comparison["against"], loss["role"] == Role.REFERENCE
    if loss["status"] == "untuned":
        return f"could not be tuned: each of its trainings failed, the first one {_tell_first_failure(loss)}"
    if loss["status"] == "failed":
        told = f"failed {_tell_failed(loss, comparison)}, the first time {_tell_first_failure(loss)}"
        return f"{told}; nothing is compared with it" if is_reference else told
    if is_reference:
        return f"what the others are compared with{_tell_settings(loss)}"
    if loss["verdict"] is None:
        return f"{loss['status']}, and compared with nothing: {against} failed"
    return _tell_difference(loss, comparison)


def _tell_failed(loss: Document, comparison: Document) -> str:
    """On how many draws; of a reference with several settings, at which."""
    at_settings = [loss, *loss["other_settings"]]
    settings = [each["setting"] for each in at_settings]
    return " and ".join(
        f"on {each['failed']} of {comparison['draws']} draws"
        + (f" {tell_apart(each['setting'], settings)}" if len(settings) > 1 else "")
        for each in at_settings
        if each["failed"]
    )


def _tell_difference(loss: Document, comparison: Document) -> str:
    against, verdict, difference = comparison["against"], loss["verdict"], loss["difference"]
    if loss["same_as"] == against:
        return f"{verdict} {against}: they are one loss, their graphs are equal"
    if not loss["sd"] and not difference["mean"]:
        return f"{verdict} {against}: in this arena they are the same, up to rounding"
    if not loss["sd"]:
        return f"{verdict} {against}: the difference is {difference['mean']:+.3f} on each draw alike"
    told = f"{tell_difference(difference)}{_tell_hardest(loss)}"
    if verdict != Verdict.NOT_DISTINGUISHABLE:
        return f"{verdict} {against}: {told}"
    if difference["low"] > 0:
        return f"{verdict} {against}: {told} over all, but not better {_tell_where_not(loss)}"
    return (
        f"{verdict} {against}: {told}; as many draws that vary like these find a"
        f" difference of {loss['detectable']:.3f} with {tell_level(POWER)} power"
    )


def _tell_settings(reference: Document) -> str:
    settings = [reference["setting"], *(each["setting"] for each in reference["other_settings"])]
    return f", {_listed([tell_apart(each, settings) for each in settings])}" if len(settings) > 1 else ""


def _tell_hardest(loss: Document) -> str:
    """With which setting of the reference the difference is, where it was met at several."""
    others = loss["against_others"]
    if not others:
        return ""
    settings = [loss["against_setting"], *(each["setting"] for each in others)]
    which = "the harder of its two" if len(settings) == 2 else f"the hardest of its {len(settings)}"
    return f" ({tell_apart(loss['against_setting'], settings)}, {which} settings)"


def _tell_where_not(loss: Document) -> str:
    """Of a difference above 0: under which base policies it is not, at the setting that counts or at another."""
    settings = [loss["against_setting"], *(each["setting"] for each in loss["against_others"])]
    met = [(loss["against_setting"], loss["effects"])]
    met += [(each["setting"], each["effects"]) for each in loss["against_others"]]
    told = []
    for setting, effects in met:
        policies = ", ".join(each for each, effect in effects.items() if effect <= 0)
        where = f" {tell_apart(setting, settings)}" if loss["against_others"] else ""
        told += [f"under base policy {policies}{where}"] if policies else []
    return " and ".join(told)


def tell_difference(difference: Document) -> str:
    return f"{difference['mean']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"


def tell_claim(comparison: Document) -> str:
    """What the verdicts cover, and what went into them; that there are none where the reference failed."""
    reference = comparison["losses"][0]
    if reference["status"] in ("untuned", "failed"):
        where = f" {_tell_failed(reference, comparison)}" if reference["status"] == "failed" else " while it was tuned"
        return (
            f"Nothing is concluded: {comparison['against']} failed{where}. Better means better than it at each setting"
            " between which its tuning chose, and on all draws: those on which it failed were the hard ones."
        )
    policies = [str(each) for each in comparison["base_policies"]]
    which = f"base policies {_listed(policies)}" if len(policies) > 1 else f"base policy {policies[0]}"
    against, level = comparison["against"], tell_level(comparison["level"])
    finalists = len(comparison["losses"]) - 1
    corrected = f"One loss was compared with {against}, in an interval of {level}"
    if finalists > 1:
        corrected = (
            f"{finalists} losses were compared with {against}, each in an interval of {level}, so that all of them hold"
            f" together with {tell_level(LEVEL)}"
        )
    settings = 1 + len(reference["other_settings"])
    both = "both" if settings == 2 else f"all {settings}"
    met = f" Better means better than {against} at {both} settings between which its tuning chose." * (settings > 1)
    return (
        f"This holds for the {which} of {comparison['arena']} and says nothing of others. {corrected}.{met} The draws"
        " on which settings were tuned are none of those on which losses were compared."
    )


def tell_level(level: float) -> str:
    return f"{100 * level:.4g} %"


def tell_setting(setting: Document) -> str:
    return f"β {setting['beta']:g}, rate {setting['learning_rate']:g}, {setting['steps']} steps"


def tell_apart(setting: Document, settings: Sequence[Document]) -> str:
    """By the sizes in which they differ."""
    told = {
        "beta": f"β {setting['beta']:g}",
        "learning_rate": f"rate {setting['learning_rate']:g}",
        "steps": f"{setting['steps']} steps",
    }
    return "at " + ", ".join(words for size, words in told.items() if len({each[size] for each in settings}) > 1)


def tabulate(comparison: Document) -> tuple[list[str], list[list[str]]]:
    """Columns, with the levels of their intervals, and rows: a loss each, at its best setting; the reference at each
    of its settings, the chosen one first."""
    reference, *others = comparison["losses"]
    losses = [reference, *({**reference, **each} for each in reference["other_settings"]), *others]
    known = {name for loss in losses for name in loss["metrics"]}
    names = [name for name in dict.fromkeys((comparison["counts"], *_SHOWN)) if name in known]
    rows = [
        [loss["name"]]
        + [f"{loss['setting'][size]:g}" if loss["setting"] else "" for size in _SIZES]
        + [tell_interval(loss["metrics"].get(name)) for name in names]
        + [tell_difference(loss["difference"]) if loss["difference"] else "", _tell_end(loss)]
        for loss in losses
    ]
    means = [f"{name} ({tell_level(LEVEL)})" for name in names]
    less = f"{comparison['counts']} less {comparison['against']}'s ({tell_level(comparison['level'])})"
    return ["loss", "beta", "learning rate", "steps", *means, less, "verdict"], rows


def _tell_end(loss: Document) -> str:
    """In a word, of the reference at one of its settings."""
    if loss["role"] == Role.REFERENCE and loss["metrics"]:
        return Role.REFERENCE.value
    return str(loss["verdict"] or loss["status"])


def tell_losses(comparison: Document) -> Iterator[str]:
    """Line by line: of each loss its verdict, then what is odd about it."""
    for loss in comparison["losses"]:
        yield f"{loss['name']}: {loss['sentence']}."
        if loss["same_as"] not in (None, comparison["against"]):
            yield f"  It is the same loss as {loss['same_as']}: their graphs are equal."
        yield from (f"  {warning}" for warning in loss["warnings"])


def _tell_first_failure(loss: Document) -> str:
    failure = next(each["failure"] for each in _confirmed_first(loss["trainings"]) if each["failure"])
    return tell_failure(failure).rstrip(".")


def _confirmed_first(trainings: Sequence[Document]) -> list[Document]:
    """A failure while it was tuned is not why a tuned loss has no interval."""
    return sorted(trainings, key=lambda each: each["purpose"] != "confirm")


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"
