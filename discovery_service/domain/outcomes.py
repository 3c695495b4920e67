"""How a campaign ended, in a sentence that promises no more than was confirmed."""

from collections.abc import Sequence

from discovery_service.domain.intervals import Interval
from discovery_service.domain.known_losses import REFERENCE_LOSS

NO_DISCOVERY = "No confirmed discovery"


def tell_discoveries(
    found: Sequence[tuple[str, Interval]], *, arena: str, looked_at: int, unjudged: Sequence[str] = ()
) -> str:
    """Of a campaign that was confirmed; `found` are the finalists that are better than DPO in the search arena.

    `unjudged` are those without a verdict: a training of theirs, or of DPO's, failed or was given up.
    """
    whence = f"of {looked_at} candidates that were looked at"
    without = (
        f" Without a verdict, for trainings that ended without a number: {', '.join(unjudged)}." if unjudged else ""
    )
    if not found:
        return f"{NO_DISCOVERY}: {whence}, none was confirmed to be better than {REFERENCE_LOSS} in {arena}.{without}"
    told = ", ".join(f"{name} by {_tell(interval)}" for name, interval in found)
    return f"Confirmed: {whence}, better than {REFERENCE_LOSS} in {arena} is {told}.{without}"


def tell_no_finalist(*, arena: str, looked_at: int, is_reference_measured: bool) -> str:
    why = f"of {looked_at} candidates that were looked at in {arena}, none came through tuning and screen"
    if not is_reference_measured:
        why = f"{REFERENCE_LOSS} did not come through tuning and screen in {arena}, so nothing could be compared"
    return f"{NO_DISCOVERY}: {why}."


def _tell(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{interval.mean:.3g}"
    return f"{interval.mean:.3g} [{interval.low:.3g}, {interval.high:.3g}]"
