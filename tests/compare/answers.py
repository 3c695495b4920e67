"""Answers of a comparison as a command gives them, made up: a loss of each verdict and of each way to fail."""

from typing import Any

BETTER, WORSE, SAME = "better than", "worse than", "not distinguishable from"


def loss(name: str, mean: float | None = None, verdict: str | None = None, **changes: Any) -> dict[str, Any]:
    interval = {"mean": 1.2, "low": 1.1, "high": 1.3, "draws": 12}
    known = {
        "name": name,
        "role": "finalist",
        "status": "confirmed",
        "warnings": [],
        "same_as": None,
        "setting": {"beta": 0.5, "learning_rate": 5e-4, "steps": 120},
        "failed": 0,
        "other_settings": [],
        "metrics": {"J": interval, "reward": interval, "kl": interval, "attained": interval, "win_rate": interval},
        "trainings": [],
        "difference": None,
        "effects": None,
        "sd": None,
        "detectable": None,
        "verdict": verdict,
        "against_setting": None,
        "against_others": [],
    }
    if mean is not None:
        known |= {
            "difference": {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "draws": 12, "level": 0.99},
            "effects": {"0": mean, "1": mean, "2": mean},
            "sd": 0.09,
            "detectable": 0.11,
            "against_setting": known["setting"],
        }
    return known | changes


HARDER = {"beta": 2.0, "learning_rate": 5e-4, "steps": 120}
"""Than .5, which tuning chose for the reference."""


def at_two(told: dict[str, Any], **beside: Any) -> dict[str, Any]:
    """A loss that met the reference at two settings; `beside` is of the chosen one, which was not the harder."""
    other = {"setting": told["against_setting"], "effects": told["effects"], "verdict": BETTER} | beside
    return told | {"against_setting": HARDER, "against_others": [other]}


def tuned_twice(**changes: Any) -> dict[str, Any]:
    """The reference, with another setting between which and its own its tuning chose; `changes` are of that one."""
    status = "failed" if changes.get("failed") else "confirmed"
    reference = loss("dpo", role="reference", status=status, trainings=failed("dpo")["trainings"])
    return reference | {"other_settings": [{"setting": HARDER, "failed": 0, "metrics": reference["metrics"]} | changes]}


def answer(*losses: dict[str, Any], **changes: Any) -> dict[str, Any]:
    reference = loss("dpo", role="reference")
    known = {
        "arena": "terse:mini",
        "counts": "J",
        "against": "dpo",
        "base_policies": [0, 1, 2],
        "draws": 12,
        "level": 0.99,
        "losses": [reference, *losses],
    }
    return known | changes


def failed(name: str) -> dict[str, Any]:
    failure = {"code": "diverged", "message": "The loss grew.", "step": 7}
    trainings = [
        {"purpose": "tune", "failure": {"code": "non_finite", "message": "The loss is no number.", "step": 1}},
        {"purpose": "confirm", "failure": None},
        {"purpose": "confirm", "failure": failure},
    ]
    return loss(name, status="failed", failed=1, metrics={}, trainings=trainings)
