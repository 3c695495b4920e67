"""One loss of the archive in text: what it is called, where it stands, and all of it where it is a parent."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from discovery_service.domain.archive import Member, Place, Screened
from discovery_service.domain.diagnostics import SHOWN as TENTHS
from discovery_service.domain.diagnostics import count_steps, list_courses, tell_training
from discovery_service.domain.figures import show, show_interval, show_setting
from discovery_service.domain.intervals import Interval
from discovery_service.domain.standings import SHOWN as METRICS
from discovery_service.prompts.code import show_code
from discovery_service.prompts.templates import Words

MAX_THOUGHT = 600
NOTHING = "-"


def show_place(place: Place) -> str:
    return f"{place.round}.{place.slot}"


def show_name(name: str) -> str:
    """One line without the sign that divides a table's columns."""
    return show_line(name.replace("|", "/")) or "without a name"


def show_line(text: str) -> str:
    """What others wrote, and a refusal may repeat, begins no heading and no list of its own."""
    return " ".join(text.split())


def tell_verdict(member: Member) -> str:
    """Where the interval lies, or why there is none. Of a screen nobody says better or worse: it is one of many."""
    if member.is_reference and member.screened is not None and member.screened.means:
        return "reference"
    screened = member.screened
    if screened is not None and screened.difference is not None:
        return _place_interval(screened.difference)
    if failures := (*member.failures, *(() if screened is None else screened.failures)):
        counted = Counter(failures)
        return "failed: " + ", ".join(f"{code} x{counted[code]}" for code in sorted(counted))
    return "stopped" if member.is_stopped else "not measured"


def _place_interval(difference: Interval) -> str:
    if difference.low is None or difference.high is None:
        return "one draw"
    if difference.low > 0:
        return "above 0"
    return "below 0" if difference.high < 0 else "includes 0"


def order_metrics(means: Mapping[str, Interval], counts: str) -> list[str]:
    """The one that counts first, then those of the standings, then the others by name."""
    known = [counts, *(name for name in METRICS if name != counts)]
    return [*(name for name in known if name in means), *sorted(means.keys() - set(known))]


def tell_figures(member: Member, counts: str, reference: str) -> Iterator[str]:
    """What was measured of it, each with its interval, and at which setting."""
    screened = member.screened
    yield f"verdict: {tell_verdict(member)}"
    if screened is None:
        return
    if screened.difference is not None:
        yield f"difference in {counts} to {reference}: {show_interval(screened.difference, is_signed=True)}"
    for name in order_metrics(screened.means, counts):
        yield f"{name}: {show_interval(screened.means[name])}"
    yield f"setting: {show_setting(screened.setting)}"


def show_loss(member: Member, passport: Sequence[str], figures: Sequence[str], words: Words) -> str:
    """Its author's thought, its source, what the gate found, and of what was measured these lines."""
    parts = []
    if member.thought:
        parts.append(f"Its author said: {_shorten(member.thought)}")
    if member.twin:
        parts.append(f"It behaves like {show_name(member.twin)}, a known loss.")
    parts.append(show_code(member.source))
    if passport:
        parts.append("\n".join((words.say("passport"), *(f"- {sentence}" for sentence in passport))))
    if figures:
        parts.append("\n".join(figures))
    return "\n\n".join(parts)


def show_training(screened: Screened | None, words: Words) -> str:
    """How the training went whose series is stored; nothing where too little is."""
    if screened is None or not (courses := list_courses(screened.series)):
        return ""
    head = f"| tenth | {' | '.join(str(tenth + 1) for tenth in TENTHS)} |"
    rows = [
        f"| {course.name} | {' | '.join(NOTHING if mean is None else show(mean) for mean in course.means)} |"
        for course in courses
    ]
    said = words.say("training", steps=count_steps(screened.series))
    table = "\n".join((head, "|" + " --- |" * (len(TENTHS) + 1), *rows))
    return "\n".join((said, "", table, "", *tell_training(screened.series))).rstrip("\n")


def _shorten(text: str) -> str:
    text = show_line(text)
    return text if len(text) <= MAX_THOUGHT else f"{text[:MAX_THOUGHT].rsplit(' ', 1)[0]} …"
