"""How a campaign ended, in a sentence that promises no more than was confirmed."""

from collections.abc import Sequence
from enum import Enum

from discovery_service.domain.intervals import Interval
from discovery_service.domain.known_losses import REFERENCE_LOSS

NO_DISCOVERY = "No confirmed discovery"


WITHOUT_NUMBER = f"as a training of theirs or of {REFERENCE_LOSS}'s ended without a number"


def tell_discoveries(
    found: Sequence[tuple[str, Interval]],
    *,
    arena: str,
    looked_at: int,
    unjudged: Sequence[str] = (),
    why: str = WITHOUT_NUMBER,
) -> str:
    """Of a campaign that was confirmed; `found` are the finalists that are better than DPO in the search arena.

    `unjudged` are those without a verdict: a training of theirs, or of DPO's, failed or was given up, unless `why` says
    otherwise.
    """
    whence = f"of {looked_at} candidates that were looked at"
    without = f" Without a verdict, {why}: {', '.join(unjudged)}." if unjudged else ""
    if not found:
        return f"{NO_DISCOVERY}: {whence}, none was confirmed to be better than {REFERENCE_LOSS} in {arena}.{without}"
    told = ", ".join(f"{name} by {_tell(interval)}" for name, interval in found)
    return f"Confirmed: {whence}, better than {REFERENCE_LOSS} in {arena} is {told}.{without}"


class Lack(Enum):
    """Why nobody was a finalist."""

    REFERENCE = "reference"
    REFERENCE_MEASURED = "reference measured"
    UNKNOWN = "unknown"
    SCREENED = "screened"


def tell_no_finalist(lack: Lack, *, arena: str, looked_at: int) -> str:
    whence = f"of {looked_at} candidates that were looked at in {arena}"
    match lack:
        case Lack.REFERENCE:
            why = f"{REFERENCE_LOSS} is not among the accepted losses, so nothing could be compared in {arena}"
        case Lack.REFERENCE_MEASURED:
            why = f"{REFERENCE_LOSS} did not come through tuning and screen in {arena}, so nothing could be compared"
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
