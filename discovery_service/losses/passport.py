"""A passport in sentences, for pages, prompts and the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from discovery_service.domain.families import PAIRS
from discovery_service.losses.fingerprints import REFERENCE_BETA

Passport = Mapping[str, Any]

_USED = {
    "reference": "the reference",
    "lengths": "the answers' lengths",
    "annotator": "who labelled the pair",
    "aux": "the auxiliary scores",
    "prompt_value": "the score to be expected of the prompt",
    "behavior": "who gave the answer",
    "outcomes": "the outcomes",
    "predictions": "the predicted outcomes",
    "rewards": "the rewards",
    "group": "which answers share a prompt",
    "progress": "how far training has come",
}
_TAILS = {
    "flat": "levels off",
    "logarithmic": "{direction} ever more slowly",
    "linear": "{direction} linearly",
    "quadratic": "{direction} quadratically",
    "steep": "{direction} faster than a square",
    "not finite": "is not finite",
}

_ENDS = {"wrong": "ever more wrongly ordered", "right": "ever better ordered"}
_NOT_IN_BF16 = "It is not finite everywhere in bfloat16."

PASSPORT_USES = frozenset({*_USED, "beta"})
"""What a passport may say that a loss looks at."""
PASSPORT_TAILS = frozenset(_TAILS)
PASSPORT_FLAGS = frozenset({"rises_at_zero", "hump", "jumps", "unbounded_below", "not_finite_in_bf16"})
"""What a passport may call odd about a loss."""


def describe_passport(passport: Passport) -> list[str]:
    """One fact a sentence; z is beta times the margin, above 0 where the better answer has gained on the other.

    Only rows that are pairs have a margin: what a loss of others does to a row hangs on the rest of its batch.
    """
    told = [*_of_inputs(passport), *_of_curve(passport)]
    return [*told, *_of_size(passport.get("size"))]


def describe_oddities(passport: Passport) -> list[str]:
    """What its flags say, in the words of its description: no reason to refuse it, and good to know beside a score."""
    flags = set(passport["flags"])
    if passport["family"] not in PAIRS:
        flags &= {"not_finite_in_bf16"}
    told: list[str] = []
    if "rises_at_zero" in flags:
        told += _of_slope(passport)
    if flags & {"rises_at_zero", "hump"}:
        told += _of_rises(passport)
    if "jumps" in flags:
        told += _of_jumps(passport)
    if "unbounded_below" in flags:
        told.append(_tell_end(passport, "right"))
    if "not_finite_in_bf16" in flags:
        told.append(_NOT_IN_BF16)
    return told


def _of_size(size: Mapping[str, int] | None) -> Iterator[str]:
    """The jail that probes a loss measures no size; the gate adds it."""
    if size is not None:
        nodes = "one operation" if size["nodes"] == 1 else f"{size['nodes']} operations"
        yield f"Its graph has {nodes} in {size['bytes']} bytes and costs about {size['cost']} additions an example."


def _of_inputs(passport: Passport) -> Iterator[str]:
    uses = passport["uses"]
    used = [words for name, words in _USED.items() if uses.get(name)]
    yield f"Beside the policy it looks at {_listed(used)}." if used else "It looks at nothing but the policy."
    if not uses["reference"]:
        yield "It needs no reference."
    if not uses["beta"]:
        yield "Beta changes nothing."
    elif passport["is_beta_equivariant"]:
        yield "Beta only sets the scale of the log-ratios."
    if passport["is_margin_only"]:
        yield "Of a pair it sees the margin alone."
    if passport["is_batch_coupled"]:
        curve = "; the curve is that of a batch with all margins" if passport["family"] in PAIRS else ""
        yield f"A row's loss depends on the rest of its batch{curve}."
    if passport["is_finite_in_bf16"] is None:
        yield "It cannot be computed in bfloat16."
    elif not passport["is_finite_in_bf16"]:
        yield _NOT_IN_BF16


def _of_curve(passport: Passport) -> Iterator[str]:
    if passport["is_flat"]:
        yield "The margin between better and worse answers does nothing by itself."
        return
    if passport["family"] not in PAIRS:
        return
    yield from _of_betas(passport)
    if passport["uses"].get("progress"):
        yield f"Its curve changes with training; what follows is that of progress {passport['curve_progress']:g}."
    yield from (*_of_slope(passport), *_of_shape(passport), *_of_ends(passport))


def _of_betas(passport: Passport) -> Iterator[str]:
    if passport["uses"]["beta"] and not passport["is_beta_equivariant"]:
        yield f"Its curve changes with beta; what follows is that of beta {REFERENCE_BETA:g} alone."


def _of_slope(passport: Passport) -> Iterator[str]:
    value, slope = passport["value_at_zero"], passport["slope_at_zero"]
    if value is None or slope is None:
        yield "At z = 0 it is not finite."
    elif slope > 0:
        yield f"At z = 0 it is {value:.3g} and rises, with slope +{slope:.3g}: training first lowers the margin."
    elif slope < 0:
        yield f"At z = 0 it is {value:.3g} and falls, with slope {slope:.3g}."
    else:
        yield f"At z = 0 it is {value:.3g} and flat."


def _of_shape(passport: Passport) -> Iterator[str]:
    bends = "convex" if passport["is_convex"] else "not convex"
    yield f"It {'never rises with the margin' if passport['is_monotone'] else 'rises in places'} and is {bends}."
    yield from (*_of_rises(passport), *_of_jumps(passport))


def _of_rises(passport: Passport) -> Iterator[str]:
    for start, end in passport["rises"]:
        if start is None and end is None:
            yield "It rises everywhere."
        elif end is None:
            yield f"It rises from z = {start:.4f} on."
        else:
            yield f"It rises up to z = {end:.4f}." if start is None else f"It rises for z in ({start:.4f}, {end:.4f})."


def _of_jumps(passport: Passport) -> Iterator[str]:
    for place, height in passport["jumps"]:
        yield f"It jumps {'up' if height > 0 else 'down'} by {abs(height):.3g} at z = {place:.3g}."


def _of_ends(passport: Passport) -> Iterator[str]:
    yield from (_tell_end(passport, side) for side in _ENDS)


def _tell_end(passport: Passport, side: str) -> str:
    tail = passport["tails"][side]
    # Towards the wrong side z falls, so there a negative slope is a rising loss.
    is_rising = tail["slope"] is not None and (tail["slope"] > 0) == (side == "right")
    ending = _TAILS[tail["shape"]].format(direction="rises" if is_rising else "falls")
    limit = passport["saturates"][side]
    pushes = "" if limit is None else f", and beyond z = {limit:.3g} hardly pushes"
    return f"For pairs that are {_ENDS[side]} it {ending}{pushes}."


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
