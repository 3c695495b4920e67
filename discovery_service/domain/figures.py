"""Measured numbers as a language model reads them: four significant digits, and never a mean without its interval.

Two decimals hide what a search goes by: of DiscoPOP's four baselines two differ by .006.
"""

from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting


def show(value: float, *, is_signed: bool = False) -> str:
    """All four digits, so that a round number does not look like a rounded one."""
    # Adding 0 makes +0 of -0.
    return format(value + 0.0, "+#.4g" if is_signed else "#.4g").removesuffix(".")


def show_interval(interval: Interval, *, is_signed: bool = False) -> str:
    mean = show(interval.mean, is_signed=is_signed)
    if interval.low is None or interval.high is None:
        return f"{mean} (one draw)"
    return f"{mean} [{show(interval.low, is_signed=is_signed)}, {show(interval.high, is_signed=is_signed)}]"


def show_setting(setting: Setting) -> str:
    """As it was set, not as it was measured."""
    return f"{setting.beta:g}, {setting.learning_rate:g}, {setting.steps}"
