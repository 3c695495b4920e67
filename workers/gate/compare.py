"""Whether a source, run as Python, does what its graph does: compares what two locked children say. Torch-free.

Neither is believed: a child that ran a hostile source can say anything, so that every list has its known length and
every number is one. Agreement by forgery gains nothing, as training uses the graph alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role, Shape
from discovery_service.losses.refusals import Refusal, RefusalCode
from workers.jail.cases import CASES, TOKENS, Case

RELATIVE = 4e-6
"""Of the larger of two numbers. Measured on 108 losses: without lowered operations a graph gives the source's numbers
to the last bit, and with them within 1e-6. Of 660 constants off by 1e-4 this finds 567; the others have next to no part
in the result, as a bound that is never reached."""
ABSOLUTE = 1e-6
"""Of the mean size of the numbers in a case, for those that cancel to almost nothing."""
_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class _Measured:
    values: list[float]
    gradients: dict[str, list[float]]


class Malformed(Exception):
    """An answer that is none."""


def compare(executed: object, computed: object) -> Refusal | None:
    """What `execute` and `compute` answered for one candidate; None where they agree."""
    try:
        of_graph = _read(computed)
    except Malformed as error:
        return _differ(f"The compiled loss gave no usable numbers: {error}.")
    try:
        of_source = _read(executed)
    except Malformed as error:
        return _differ(f"Run as Python the loss gave no usable numbers: {error}.")
    for case, source, graph in zip(CASES, of_source, of_graph, strict=True):
        refusal = _compare_case(case, source, graph)
        if refusal is not None:
            return refusal
    return None


def find_not_finite(computed: object, family: Family) -> Refusal | None:
    """Of what a graph of the family computed. Raises Malformed when that is no answer."""
    measured = _read(computed)
    if measured[0].gradients.keys() != {each.name for each in INPUTS[family] if each.role is Role.POLICY}:
        raise Malformed("the gradients are by another family's inputs")
    return next(filter(None, map(_check_finite, CASES, measured)), None)


def _check_finite(case: Case, graph: _Measured) -> Refusal | None:
    numbers = [*graph.values, *(each for gradient in graph.gradients.values() for each in gradient)]
    if all(map(math.isfinite, numbers)):
        return None
    return Refusal(
        RefusalCode.NON_FINITE,
        f"The loss or its gradient is not finite for ordinary inputs{_where(case)}: bound what goes into exp, log,"
        " sqrt, powers and quotients, also where a margin is exactly zero and in the arm of an if that is not taken.",
    )


def _compare_case(case: Case, source: _Measured, graph: _Measured) -> Refusal | None:
    not_finite = _check_finite(case, graph)
    if not_finite is not None:
        return not_finite
    if len(source.values) != len(graph.values) or source.gradients.keys() != graph.gradients.keys():
        return _differ(f"Run as Python the loss has another shape than its compiled form{_where(case)}.")
    pair = _find_difference(source.values, graph.values, _mean_size(graph.values))
    if pair is not None:
        return _differ(
            f"Run as Python the loss is {pair[0]:.9g} where its compiled form is {pair[1]:.9g}{_where(case)}."
        )
    scale = max(_mean_size(each) for each in graph.gradients.values())
    for name, gradient in graph.gradients.items():
        pair = _find_difference(source.gradients[name], gradient, scale)
        if pair is not None:
            return _differ(
                f"Run as Python the gradient by {name} is {pair[0]:.9g} where that of the compiled form is"
                f" {pair[1]:.9g}{_where(case)}."
            )
    return None


def _find_difference(source: list[float], graph: list[float], scale: float) -> tuple[float, float] | None:
    for one, other in zip(source, graph, strict=True):
        # An infinite number is within any share of itself.
        if not math.isfinite(one) or abs(one - other) > RELATIVE * max(abs(one), abs(other)) + ABSOLUTE * scale:
            return one, other
    return None


def _mean_size(numbers: list[float]) -> float:
    return math.fsum(map(abs, numbers)) / len(numbers)


def _where(case: Case) -> str:
    return f" in a batch of {case.rows} at beta={case.beta}, progress={case.progress}"


def _differ(what: str) -> Refusal:
    return Refusal(
        RefusalCode.SEMANTICS_DIFFER, f"{what} Write the loss with plain tensor operations that do the same each time."
    )


def _read(answer: object) -> list[_Measured]:
    if type(answer) is not dict or answer.keys() != {"values", "gradients"}:
        raise Malformed("they are not values and gradients")
    values, gradients = (_read_list(answer[key], len(CASES)) for key in ("values", "gradients"))
    sizes = _read_inputs(gradients[0])
    forms = 2 if type(values[0]) is list and len(values[0]) == 2 * CASES[0].rows else 1
    return [
        _Measured(_read_numbers(some, forms * case.rows), _read_gradients(every, sizes, case))
        for some, every, case in zip(values, gradients, CASES, strict=True)
    ]


def _read_list(raw: object, length: int) -> list[object]:
    if type(raw) is not list or len(raw) != length:
        raise Malformed(f"a list has not the {length} entries that it must have")
    return raw


def _read_inputs(raw: object) -> Mapping[str, int]:
    """How many numbers an example there are for each of the policy's inputs, in one of the families."""
    for inputs in INPUTS.values():
        sizes = {each.name: TOKENS if each.shape is Shape.TOKENS else 1 for each in inputs if each.role is Role.POLICY}
        if type(raw) is dict and raw.keys() == sizes.keys():
            return sizes
    raise Malformed("the gradients are not by the policy's inputs")


def _read_gradients(raw: object, sizes: Mapping[str, int], case: Case) -> dict[str, list[float]]:
    if type(raw) is not dict or raw.keys() != sizes.keys():
        raise Malformed("the gradients are not by the policy's inputs")
    return {name: _read_numbers(raw[name], size * case.rows) for name, size in sizes.items()}


def _read_numbers(raw: object, length: int) -> list[float]:
    return [_read_number(each) for each in _read_list(raw, length)]


def _read_number(raw: object) -> float:
    if type(raw) is float:
        return raw
    if type(raw) is int and abs(raw) <= 1 << 53:
        return float(raw)
    if type(raw) is str and raw in _SPECIAL:
        return _SPECIAL[raw]
    raise Malformed("an entry is no number")
