"""What PyTorch or Python raises for what a source asks, as a refusal that a language model can act on."""

import re

from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from discovery_service.losses.refusals import RefusalCode, Refused, refuse

FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a wrong call raises. Others, a lack of memory among them, are no fault of the source's wording."""
_DATA_DEPENDENT = (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode)
_SHAPES = re.compile(r"sizes? of tensor|shape|dimension|broadcast|size mismatch|must match", re.IGNORECASE)
_MOST = 160


def explain(error: Exception, code: str) -> Refused:
    """`code` is the part of the source that was being computed."""
    if isinstance(error, _DATA_DEPENDENT):
        return refuse(
            RefusalCode.DATA_DEPENDENT_SHAPE,
            f"{code} has a size or value that Python needs and the data decide: use torch.where or multiply by a mask.",
        )
    if isinstance(error, RecursionError):
        return refuse(RefusalCode.TOO_DEEP, f"{code} is nested too deeply: write the steps out.")
    words = _plain(error)
    if isinstance(error, RuntimeError | IndexError) and _SHAPES.search(words):
        return refuse(RefusalCode.WRONG_SHAPE, f"{code} does not fit together: {words}")
    return refuse(RefusalCode.WRONG_ARGUMENT, f"{code} cannot be computed: {words}")


def _plain(error: Exception) -> str:
    """The first line, printable, without symbols of the recording and without paths."""
    lines = str(error).strip().splitlines()
    line = lines[0] if lines else type(error).__name__
    line = re.sub(r"\bs\d+\b", "B", line)
    line = re.sub(r"(?:/[\w.-]+){2,}", "…", line)
    return "".join(each if each.isprintable() else " " for each in line)[:_MOST].rstrip(" .:") + "."
