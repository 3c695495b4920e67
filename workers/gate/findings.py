"""What `discovery doctor` tells of the jail: how well it is locked on this machine."""

from typing import Literal, NamedTuple

from workers.gate.process import is_enough, make_jail


class Finding(NamedTuple):
    """As the command's own findings are."""

    name: str
    state: Literal["ok", "problem"]
    detail: str
    advice: str


def find_jail() -> Finding:
    """Starts a jail and lets the canaries try it."""
    with make_jail() as jail:
        isolation, is_fit = jail.isolation, is_enough(jail)
    found = f"level {isolation.level}: {', '.join(isolation.layers) or isolation.reason}"
    if is_fit:
        return Finding("jail", "ok", found, isolation.reason or "")
    advice = f"Candidates are not judged here. {isolation.reason or ''} DISCOVERY__JAIL__MINIMUM sets what is enough."
    return Finding("jail", "problem", found, advice)
