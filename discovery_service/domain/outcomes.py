"""How a campaign ended, in a sentence that promises no more than was confirmed."""

from collections.abc import Sequence
from enum import Enum

from discovery_service.domain.intervals import Interval

NO_DISCOVERY = "No confirmed discovery"


def tell_discoveries(
    found: Sequence[tuple[str, Interval]],
    *,
    reference: str,
    arena: str,
    looked_at: int,
    unjudged: Sequence[str] = (),
    why: str | None = None,
) -> str:
    """Of a campaign that was confirmed; `found` are the finalists that are better than the reference in the search
    arena.

    `unjudged` are those without a verdict: a training of theirs, or of the reference's, failed or was given up, unless
    `why` says otherwise.
    """
    why = why or f"as a training of theirs or of {reference}'s ended without a number"
    whence = f"of {looked_at} candidates that were looked at"
    without = f" Without a verdict, {why}: {', '.join(unjudged)}." if unjudged else ""
    if not found:
        return f"{NO_DISCOVERY}: {whence}, none was confirmed to be better than {reference} in {arena}.{without}"
    told = ", ".join(f"{name} by {_tell(interval)}" for name, interval in found)
    return f"Confirmed: {whence}, better than {reference} in {arena} is {told}.{without}"


def tell_found_before(found: Sequence[tuple[str, Interval]]) -> str:
    """Of earlier extensions, whose verdicts stay."""
    if not found:
        return ""
    told = ", ".join(f"{name} by {_tell(interval)}" for name, interval in found)
    return f" Confirmed before it, and not confirmed anew: {told}."


def tell_untrained(names: Sequence[str]) -> str:
    """Of a held-out arena."""
    return f"no training of {', '.join(names)} to tune it there has ended with a number"


class Lack(Enum):
    """Why nobody was a finalist."""

    REFERENCE = "reference"
    REFERENCE_MEASURED = "reference measured"
    UNKNOWN = "unknown"
    SCREENED = "screened"


def tell_no_finalist(lack: Lack, *, reference: str, arena: str, looked_at: int) -> str:
    whence = f"of {looked_at} candidates that were looked at in {arena}"
    match lack:
        case Lack.REFERENCE:
            why = f"{reference} is not among the accepted losses, so nothing could be compared in {arena}"
        case Lack.REFERENCE_MEASURED:
            why = f"{reference} did not come through tuning and screen in {arena}, so nothing could be compared"
        case Lack.UNKNOWN:
            why = f"{whence}, all that came through tuning and screen are known losses or twins of one"
        case Lack.SCREENED:
            why = f"{whence}, none came through tuning and screen"
    return f"{NO_DISCOVERY}: {why}."


def tell_too_few(why: str, *, arena: str, looked_at: int) -> str:
    return (
        f"{NO_DISCOVERY}: of {looked_at} candidates that were looked at, none could be confirmed in {arena}, as {why}."
    )


def _tell(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{interval.mean:.3g}"
    return f"{interval.mean:.3g} [{interval.low:.3g}, {interval.high:.3g}]"
