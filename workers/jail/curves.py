"""A loss as a function of the margin, and what can be read off the curve: where it falls, rises, bends and ends."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.fingerprints import REFERENCE_BETA
from workers.jail.probes import MAX_MARGIN, Loss, curve_batch, run_loss

_HALF = 200
_DENSITY = 5.0
# Dense around 0, where training starts: LRML turns twice within .12 of it.
_MARGINS = tuple(
    MAX_MARGIN * math.sinh(_DENSITY * step / _HALF) / math.sinh(_DENSITY) for step in range(-_HALF, _HALF + 1)
)
_SHOWN = 5
"""Every how many points go into the stored curve."""
_AROUND_ZERO = 2.0
"""The usual size of a slope is its mean this near to 0; what is small is small against that."""
_NOISE = 1e-5
_LOST = 1e-6
"""A slope below this share of the gradients that it is made of is what their rounding leaves."""
_PROGRESS = (0.0, 0.5, 1.0, 0.1, 0.25, 0.75)
"""Of training. Its start, if the margin does anything there."""
_SATURATED = 0.01
"""Below this share of the usual slope a loss hardly pushes, either way."""


@dataclass(frozen=True)
class Curve:
    z: Tensor
    """Beta times the margin."""
    value: Tensor
    slope: Tensor
    """By z. From the gradient, so it is what training follows even where the loss detaches a part."""
    progress: float
    is_flat: bool
    """The margin changes nothing."""

    @property
    def scale(self) -> float:
        """The usual size of a slope; of a loss that is flat around zero, its mean everywhere."""
        near = self.slope[self.z.abs() <= _AROUND_ZERO]
        return _mean_size(near) or _mean_size(self.slope)


def _mean_size(slope: Tensor) -> float:
    finite = slope[slope.isfinite()].abs()
    return float(finite.mean()) if len(finite) else 0.0


def measure_curve(loss: Loss, family: Family) -> Curve:
    """At the first progress at which the margin does anything, else at the start of training. Raises Refused."""
    curve = _measure_at(loss, family, _PROGRESS[0])
    later = (_measure_at(loss, family, progress) for progress in _PROGRESS[1:])
    return next((each for each in later if not each.is_flat), curve) if curve.is_flat else curve


def _measure_at(loss: Loss, family: Family, progress: float) -> Curve:
    """In one batch that holds all margins: a loss that looks at its batch sees those."""
    batch = curve_batch(family, _MARGINS, progress)
    run = run_loss(loss, batch.inputs, family)
    rows = len(batch.margins)
    slope = torch.zeros(rows, dtype=torch.float64)
    size = torch.zeros(rows, dtype=torch.float64)
    for name, direction in batch.directions.items():
        moved = (run.gradients[name].double() * direction).flatten(start_dim=1 if direction.dim() > 1 else 0)
        moved = (moved.sum(dim=1) if moved.dim() > 1 else moved).view(-1, rows)
        slope += moved.sum(dim=0)
        size += moved.abs().sum(dim=0)
    value = run.values.double().view(-1, rows).sum(dim=0)
    is_flat = bool((slope.abs() <= _LOST * size).all())
    return Curve(batch.margins.double() * REFERENCE_BETA, value, slope / REFERENCE_BETA, progress, is_flat)


def describe_curve(curve: Curve) -> dict[str, Any]:
    """The part of a passport that is about the margin."""
    if curve.is_flat:
        return _describe_flat(curve)
    rises, jumps = _rises(curve), _jumps(curve)
    bends = curve.slope.diff() < -_NOISE * (curve.scale + curve.slope[1:].abs())
    return {
        "curve_progress": curve.progress,
        "is_flat": False,
        "value_at_zero": _number(curve.value[_HALF]),
        "slope_at_zero": _number(curve.slope[_HALF]),
        "is_monotone": not rises and not any(height > 0 for _, height in jumps),
        "is_convex": not jumps and not bool(bends.any()),
        "rises": rises,
        "jumps": jumps,
        "saturates": {"wrong": _saturation(curve, -1), "right": _saturation(curve, 1)},
        "tails": {"wrong": _tail(curve, -1), "right": _tail(curve, 1)},
    }


def _describe_flat(curve: Curve) -> dict[str, Any]:
    tail = {"shape": "flat", "slope": 0.0}
    return {
        "curve_progress": curve.progress,
        "is_flat": True,
        "value_at_zero": _number(curve.value[_HALF]),
        "slope_at_zero": 0.0,
        "is_monotone": True,
        "is_convex": True,
        "rises": [],
        "jumps": [],
        "saturates": {"wrong": None, "right": None},
        "tails": {"wrong": tail, "right": dict(tail)},
    }


def shown_curve(curve: Curve) -> dict[str, list[float | None]]:
    """What a plot needs."""
    columns = {"z": curve.z, "value": curve.value, "slope": curve.slope}
    return {name: [_number(each) for each in column[::_SHOWN]] for name, column in columns.items()}


def _rises(curve: Curve) -> list[list[float | None]]:
    """[from, to] of each stretch on which the loss rises; None where it reaches the end of the curve."""
    is_rising = curve.slope > _NOISE * curve.scale
    edges = torch.nn.functional.pad(is_rising.int(), (1, 1)).diff()
    starts, ends = (edges == 1).nonzero().flatten().tolist(), (edges == -1).nonzero().flatten().tolist()
    return [
        [_crossing(curve, start), _crossing(curve, end)]
        for start, end in zip(starts, ends, strict=True)
        if _is_rise(curve, start, end)
    ]


def _is_rise(curve: Curve, start: int, end: int) -> bool:
    """A slow one is one too where it goes on without end."""
    is_endless = (start == 0 and _tail(curve, -1)["shape"] != "flat") or (
        end == len(curve.z) and _tail(curve, 1)["shape"] != "flat"
    )
    return is_endless or float(curve.slope[start:end].max()) > _SATURATED * curve.scale


def _crossing(curve: Curve, index: int) -> float | None:
    """Where the slope is zero between this point and the one before."""
    if index in (0, len(curve.z)):
        return None
    (low, high), (left, right) = curve.z[index - 1 : index + 1].tolist(), curve.slope[index - 1 : index + 1].tolist()
    share = left / (left - right) if left != right else 0.0
    share = share if math.isfinite(share) else 0.0
    # A kink or a jump has no zero in between.
    return _rounded(low + min(max(share, 0.0), 1.0) * (high - low))


def _jumps(curve: Curve) -> list[list[float]]:
    """[z, height] of each step that the slopes on both sides do not explain."""
    steps = curve.value.diff()
    missing = steps - (curve.slope[1:] + curve.slope[:-1]) / 2 * curve.z.diff()
    # A kink between two points leaves up to half of this out, and a bend beside it a little more.
    kink = 0.75 * curve.slope.diff().abs() * curve.z.diff()
    near = torch.nn.functional.pad(missing.abs(), (5, 5)).unfold(0, 11, 1).median(dim=1).values
    is_jump = (
        (missing.abs() > 0.05 * curve.scale + kink) & (missing.abs() > steps.abs() / 4) & (missing.abs() > 10 * near)
    )
    places = [int(each) for each in (is_jump & steps.isfinite()).nonzero().flatten()]
    return [[_rounded(min(curve.z[i : i + 2].tolist(), key=abs)), _rounded(float(steps[i]))] for i in places]


def _saturation(curve: Curve, side: int) -> float | None:
    """The z beyond which, to that side, the slope stays below a hundredth of its usual size."""
    slope = curve.slope if side > 0 else curve.slope.flip(0)
    z = curve.z if side > 0 else curve.z.flip(0)
    pushes = (~(slope.abs() <= _SATURATED * curve.scale)).nonzero().flatten()
    last = int(pushes[-1]) if len(pushes) else 0
    return _rounded(float(z[last + 1])) if last + 1 < len(z) - 1 else None


def _tail(curve: Curve, side: int) -> dict[str, Any]:
    """How the loss goes on towards that side, from the slopes at its end, half and three quarters of the way there."""
    end = len(curve.z) - 1 if side > 0 else 0
    places = [int((curve.z - curve.z[end] * share).abs().argmin()) for share in (0.5, 0.75, 1)]
    slopes, values = curve.slope[places], curve.value[places]
    if not bool((slopes.isfinite() & values.isfinite()).all()):
        return {"shape": "not finite", "slope": None}
    grows = [float(each) for each in slopes.diff() / curve.z[places].diff()]
    # A slope that comes from the rest of the batch alone leaves the row's own value as it is.
    own = abs(float(values.diff()[1] / curve.z[places].diff()[1]))
    is_still = own < 1e-3 * curve.scale
    middle, last = abs(slopes[0].item()), abs(slopes[2].item())
    return {
        "shape": "flat" if is_still else _shape(middle, last, grows, curve.scale),
        "slope": _rounded(slopes[2].item()),
    }


def _shape(middle: float, last: float, grows: list[float], scale: float) -> str:
    if last < 10 * _NOISE * scale or last < middle / 3:
        return "flat"
    if last < 0.9 * middle:
        return "logarithmic"
    if last < 1.3 * middle or abs(grows[1]) < 0.75 * abs(grows[0]):
        return "linear"
    return "quadratic" if abs(grows[1]) < 1.5 * abs(grows[0]) else "steep"


def _number(value: Tensor) -> float | None:
    return _rounded(value.item()) if value.isfinite() else None


def _rounded(value: float) -> float:
    """Four significant digits and one to spare, as everything that is shown."""
    return float(f"{value:.5g}")
