"""When a training is given up: at a value that is no number, or once the policy has run away for good."""

import math
from collections.abc import Mapping

from discovery_service.domain.measuring import Setting
from workers.runtime.series import LOG_RATIO

PATIENCE = 10
"""Steps in a row that a training may spend beyond a bound: one bad batch ends none."""
STEEPEST = 1e8
"""Of a gradient before it is clipped. Clipping makes its length harmless; beyond this float32 keeps nothing of the rows
that are not the steepest. Of the library the steepest was 6e6, once (sign)."""
FARTHEST, FARTHEST_OF_REFERENCE = 1000.0, 20.0
"""From the reference, either way, on average over a batch: so many nats an answer, and so many times what an answer
costs the reference. In `panel:mini`, where it costs 46 nats, the farthest of the library at beta >= .1 was 85."""


class Diverged(Exception):
    """The candidate's doing. Carries what was written down up to the step at which it is told."""

    def __init__(self, code: str, message: str, step: int, series: dict[str, list[float]]) -> None:
        super().__init__(message)
        self.code = code
        """`non_finite` or `diverged`."""
        self.message = message
        """One sentence for whoever wrote the loss."""
        self.step = step
        """From 0; `progress` was step / steps."""
        self.series = series


class Watch:
    """Looks at each step's row of series in turn."""

    def __init__(self, setting: Setting, reference: float) -> None:
        """Reference: how many nats an answer costs it."""
        self._setting = setting
        self._farthest = max(FARTHEST, FARTHEST_OF_REFERENCE * reference)
        self._since: dict[str, int] = {}

    def find_fault(self, step: int, row: Mapping[str, float]) -> tuple[str, str] | None:
        """A code and a message, or None where the training may go on."""
        if (said := self._find_non_finite(step, row)) is not None:
            return "non_finite", said
        if (said := self._find_run_away(step, row)) is not None:
            return "diverged", said
        return None

    def _find_non_finite(self, step: int, row: Mapping[str, float]) -> str | None:
        ratios = {name: value for name, value in row.items() if name.endswith(LOG_RATIO)}
        if not all(map(math.isfinite, ratios.values())):
            return f"The policy's log-probabilities are no numbers at step {step}: the last updates were too large."
        where = f"at step {step} of {self._setting.steps}, with beta {self._setting.beta:g} and " + " and ".join(
            f"a mean {name} of {value:.4g}" for name, value in ratios.items()
        )
        if not math.isfinite(row["loss"]):
            return f"The loss is {row['loss']} {where}: keep exp, log, powers and quotients within what float32 holds."
        if not math.isfinite(row["gradient_norm"]):
            return (
                f"The loss is {row['loss']:.4g} but its gradient is {row['gradient_norm']} {where}: a root or a"
                " logarithm at 0 has none, and what torch.where leaves out must have one all the same."
            )
        return None

    def _find_run_away(self, step: int, row: Mapping[str, float]) -> str | None:
        for name, value in row.items():
            bound = STEEPEST if name == "gradient_norm" else self._farthest if name.endswith(LOG_RATIO) else math.inf
            if abs(value) <= bound:
                self._since.pop(name, None)
            elif step - self._since.setdefault(name, step) + 1 >= PATIENCE:
                return (
                    f"The {name.replace('_', ' ')} stays beyond {bound:g} from step {self._since[name]} on, {value:.4g}"
                    f" at step {step}: nothing in the loss holds it; let its slope fade as the margin grows."
                )
        return None
