"""What a node of a graph may be given: references, numbers, types, lists; read from JSON by kind, and written back.

Nothing here trusts its input: types are tested exactly, because a bool is an int to isinstance and not to torch.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

from discovery_service.losses.operators import INTEGER_BOUNDS, TEXTS, Kind, Operator, Parameter
from discovery_service.losses.refusals import RefusalCode, Refused, refuse

MAX_LIST = 64
MAX_OUTPUTS = 64
MAX_SIZE = 1 << 20
MAX_EXACT = 1 << 53
"""The last integer up to which a float64 knows each."""
OPEN_END = (1 << 63) - 1
"""How torch writes the end of `x[1:]`."""
DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "bool")
SPECIAL_FLOATS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
# More than two operands or four letters, and what einsum holds on the way outgrows all that its result shows.
_EQUATION = re.compile(r"[A-Za-z]{0,4}(,[A-Za-z]{0,4})?(->[A-Za-z]{0,4})?")
MAX_LETTERS = 4


@dataclass(frozen=True, slots=True)
class Ref:
    value: int
    output: int | None = None
    """Which of several results."""


@dataclass(frozen=True, slots=True)
class DType:
    name: str


@dataclass(frozen=True, slots=True)
class InputDevice:
    """Wherever the inputs lie."""


Argument = Ref | DType | InputDevice | tuple[Any, ...] | bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Tuple:
    """What a value is that only its parts can be used of."""

    length: int


TENSOR, NUMBER = "tensor", "number"
ValueKind = str | Tuple
"""TENSOR, NUMBER (a size) or Tuple."""


def bad(message: str) -> Refused:
    return refuse(RefusalCode.BAD_GRAPH, f"The graph is malformed: {message}.")


def shown(text: str) -> str:
    """A name out of a document, fit for a log: short, and ASCII, since a lone surrogate cannot be written."""
    return ascii(text[:60])[1:-1]


def has_keys(raw: object, required: set[str], optional: frozenset[str] = frozenset()) -> bool:
    return type(raw) is dict and required <= set(raw) <= required | optional


def is_plain_number(raw: object) -> TypeGuard[int | float]:
    return abs(raw) <= MAX_EXACT if type(raw) is int else type(raw) is float and math.isfinite(raw)


def read_special_float(raw: object) -> float:
    if type(raw) is dict and set(raw) == {"f"} and type(raw["f"]) is str and raw["f"] in SPECIAL_FLOATS:
        return SPECIAL_FLOATS[raw["f"]]
    raise bad("a number is expected")


def read_ref(raw: object, kinds: list[ValueKind], wanted: str) -> Ref:
    if not (type(raw) is dict and {"r"} <= set(raw) <= {"r", "o"}):
        raise bad("a reference is expected")
    value, output = raw["r"], raw.get("o")
    if type(value) is not int or not 0 <= value < len(kinds):
        raise bad("a reference leads to no earlier value")
    kind = kinds[value]
    if "o" in raw:
        if type(output) is not int or not isinstance(kind, Tuple) or not 0 <= output < kind.length:
            raise bad("a reference leads to a result that the operation has not")
        kind = TENSOR
    if kind != wanted:
        raise bad(f"a reference leads to something that is no {wanted}")
    return Ref(value, output)


def read_number(raw: object, kinds: list[ValueKind]) -> Argument:
    if type(raw) is dict:
        return read_ref(raw, kinds, NUMBER) if "r" in raw else read_special_float(raw)
    if type(raw) is bool or is_plain_number(raw):
        return raw
    raise bad("a number of reasonable size is expected")


def read_integer(raw: object, kinds: list[ValueKind]) -> Argument:
    if type(raw) is dict:
        return read_ref(raw, kinds, NUMBER)
    if type(raw) is int and (abs(raw) <= MAX_SIZE or raw == OPEN_END):
        return raw
    raise bad("an integer of reasonable size is expected")


def read_argument(raw: object, operator: Operator, parameter: Parameter, kinds: list[ValueKind]) -> Argument:
    """What stands for the parameter, in the values that come before the node."""
    if raw is None:
        if parameter.is_optional:
            return None
        raise bad("null is given where it means nothing")
    match parameter.kind:
        case Kind.TENSOR:
            return _read_tensor(raw, kinds, is_strict=parameter.name == operator.first_tensor)
        case Kind.NUMBER:
            return read_number(raw, kinds)
        case Kind.INTEGER:
            return _read_bounded(raw, operator, parameter, kinds)
        case Kind.TENSORS:
            return _read_list(raw, lambda each: read_ref(each, kinds, TENSOR))
        case Kind.INTEGERS if type(raw) is int:
            return (read_integer(raw, kinds),)
        case Kind.INTEGERS:
            return _read_list(raw, lambda each: read_integer(each, kinds))
        case _:
            return _read_constant(raw, parameter)


def _read_tensor(raw: object, kinds: list[ValueKind], *, is_strict: bool) -> Argument:
    if is_strict or _is_tensor(raw, kinds):
        return read_ref(raw, kinds, TENSOR)
    return read_number(raw, kinds)


def _is_tensor(raw: object, kinds: list[ValueKind]) -> bool:
    if type(raw) is not dict or "r" not in raw:
        return False
    value = raw["r"]
    return not (type(value) is int and 0 <= value < len(kinds) and kinds[value] == NUMBER)


def _read_bounded(raw: object, operator: Operator, parameter: Parameter, kinds: list[ValueKind]) -> Argument:
    value = read_integer(raw, kinds)
    if bounds := INTEGER_BOUNDS.get((operator.packet, parameter.name)):
        low, high = bounds
        if not isinstance(value, int) or not low <= value <= high:
            raise bad(f"{parameter.name} of {operator.packet} is not from {low} to {high}")
    return value


def _read_list(raw: object, read: Callable[[object], Argument]) -> Argument:
    if type(raw) is not dict or set(raw) != {"l"} or type(raw["l"]) is not list or len(raw["l"]) > MAX_LIST:
        raise bad(f"a list of at most {MAX_LIST} is expected")
    return tuple(read(each) for each in raw["l"])


def _read_constant(raw: object, parameter: Parameter) -> Argument:
    match parameter.kind:
        case Kind.FLAG if type(raw) is bool:
            return raw
        case Kind.TEXT if type(raw) is str and _may_say(parameter.name, raw):
            return raw
        # Only by name: a plain integer in its place makes torch 2.13 read outside its tables, and crash.
        case Kind.DTYPE if type(raw) is dict and set(raw) == {"t"} and type(raw["t"]) is str and raw["t"] in DTYPES:
            return DType(raw["t"])
        case Kind.DEVICE if type(raw) is dict and set(raw) == {"d"} and raw["d"] == "in":
            return InputDevice()
    raise bad(f"{parameter.name} is given what it does not take")


def _may_say(name: str, text: str) -> bool:
    if name != "equation":
        return text in TEXTS[name]
    letters = {each for each in text if each.isalpha()}
    return len(text) <= 40 and len(letters) <= MAX_LETTERS and _EQUATION.fullmatch(text.replace(" ", "")) is not None


def write_argument(argument: Argument) -> object:
    match argument:
        case Ref(value, None):
            return {"r": value}
        case Ref(value, output):
            return {"r": value, "o": output}
        case DType(name):
            return {"t": name}
        case InputDevice():
            return {"d": "in"}
        case tuple():
            return {"l": [write_argument(each) for each in argument]}
        case float() if not math.isfinite(argument):
            return {"f": next(name for name, value in SPECIAL_FLOATS.items() if repr(value) == repr(argument))}
    return argument


def find_refs(argument: Argument) -> Iterator[Ref]:
    if isinstance(argument, Ref):
        yield argument
    elif isinstance(argument, tuple):
        for each in argument:
            yield from find_refs(each)
