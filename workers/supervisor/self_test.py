"""Derives how well a jail is locked from what canaries could do in it."""

import json
import os
from collections.abc import Sequence

from discovery_service.domain.isolation import Level
from discovery_service.losses.refusals import RefusalCode, Refused
from workers.jail import landlock
from workers.jail.canaries import CANARIES, outstay, read_directory
from workers.jail.lockdown import JAIL_ID, OPTIONAL, Layer
from workers.jail.messages import LockReport, Order
from workers.supervisor.isolation import Isolation
from workers.supervisor.verdict import ChildLost, read_answer, read_lock
from workers.supervisor.zygote import Zygote

MEMORY_BYTES = 64 << 20
CPU_S = 2
WALL_S = 5.0
SHORT_WALL_S = 0.05

_HELD = {RefusalCode.SECURITY_VIOLATION, RefusalCode.MEMORY_LIMIT}
"""Ends that a canary is meant to come to. One that dies otherwise has proved nothing."""


def derive_isolation(zygote: Zygote) -> Isolation:
    """Raises ZygoteLost only: a lock that fails or leaks is told by the level."""
    leaks: list[str] = []
    try:
        for name in CANARIES:
            if name != outstay.__name__:
                report, is_held = _run_canary(zygote, name)
                if not is_held:
                    leaks.append(name)
        if not _is_ended_in_time(zygote):
            leaks.append(outstay.__name__)
        if Layer.LANDLOCK in report.layers:
            # Behind the filter, and where no descriptor is left, nobody sees whether Landlock holds anything.
            _, is_held = _run_canary(zygote, read_directory.__name__, without=[Layer.SECCOMP, Layer.RLIMITS])
            if not is_held:
                leaks.append(f"{read_directory.__name__} past {Layer.LANDLOCK}")
    except ChildLost as lost:
        return Isolation(Level.UNAVAILABLE, f"No child can be locked: {lost}.", torch=zygote.hello.torch)
    level, reason = _derive(report, leaks)
    return Isolation(
        level=level,
        reason=reason,
        layers=tuple(report.layers),
        missing=report.missing,
        landlock_abi=landlock.read_version() if Layer.LANDLOCK in report.layers else 0,
        leaks=tuple(leaks),
        uid=JAIL_ID if Layer.UID in report.layers else os.geteuid(),
        torch=zygote.hello.torch,
    )


def _derive(report: LockReport, leaks: list[str]) -> tuple[Level, str | None]:
    if leaks:
        return Level.UNAVAILABLE, f"The lock does not hold: {', '.join(leaks)} got out."
    if Layer.LANDLOCK not in report.layers:
        why = report.missing[Layer.LANDLOCK]
        return Level.SECCOMP, f"Landlock, which Linux has since 5.13, is not in force here: {why}."
    return Level.FULL, None


def _run_canary(zygote: Zygote, name: str, *, without: Sequence[str] = ()) -> tuple[LockReport, bool]:
    """How the child locked itself, and whether that held the canary. Raises ChildLost."""
    order = _order(WALL_S, without)
    child = zygote.run(order, _request(name))
    report = read_lock(child)
    try:
        return report, read_answer(child, order, zygote.hello.rss_bytes) == {"got_out": False}
    except Refused as refused:
        return report, refused.refusals[0].code in _HELD


def _is_ended_in_time(zygote: Zygote) -> bool:
    """On a busy machine even before it is locked."""
    return zygote.run(_order(SHORT_WALL_S), _request(outstay.__name__)).ended.was_late


def _order(wall_s: float, without: Sequence[str] = ()) -> Order:
    return Order("canary", wall_s, CPU_S, MEMORY_BYTES, optional=sorted(OPTIONAL), without=list(without))


def _request(name: str) -> bytes:
    return json.dumps({"name": name}).encode()
