"""What `discovery doctor` tells of the jail: how well it is locked on this machine."""

from workers.gate.process import is_enough, make_jail


def find_jail() -> tuple[str, str, str, str]:
    """Name, state, what was found, and what to do. Starts a jail and lets the canaries try it."""
    with make_jail() as jail:
        isolation, is_fit = jail.isolation, is_enough(jail)
    found = f"level {isolation.level}: {', '.join(isolation.layers) or isolation.reason}"
    if not is_fit:
        advice = (
            f"Candidates are not judged here. {isolation.reason or ''} DISCOVERY__JAIL__MINIMUM sets what is enough."
        )
        return "jail", "problem", found, advice
    return "jail", "ok", found, isolation.reason or ""
