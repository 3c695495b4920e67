"""Figures as people read them: none without its interval."""

from discovery_service.client import EvaluationSetting, Mean


def tell_interval(mean: float | None, low: float | None, high: float | None) -> str | None:
    """Of a difference."""
    return None if mean is None or low is None or high is None else f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def tell_mean(mean: Mean | None) -> str | None:
    """One draw has no interval, and says so."""
    if mean is None:
        return None
    if mean.low is None or mean.high is None:
        return f"{mean.mean:.3f} (one draw)"
    return f"{mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}]"


def tell_setting(setting: EvaluationSetting) -> str:
    return f"beta {setting.beta:g}, rate {setting.learning_rate:g}, {setting.steps} steps"
