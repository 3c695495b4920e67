"""A node of a graph: one operation and what it is given, read without trust and written back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from discovery_service.losses.arguments import (
    MAX_OUTPUTS,
    NUMBER,
    TENSOR,
    Argument,
    Ref,
    Tuple,
    ValueKind,
    bad,
    find_refs,
    has_keys,
    read_argument,
    read_integer,
    read_number,
    read_ref,
    shown,
    write_argument,
)
from discovery_service.losses.operators import OPERATORS, SIZE_OPERATORS, SYNONYMS, Operator
from discovery_service.losses.refusals import RefusalCode, refuse

MAX_NODES = 256


@dataclass(frozen=True)
class Node:
    operation: str
    """A name of `OPERATORS` or `SIZE_OPERATORS`."""
    arguments: Mapping[str, Argument]
    """By the parameter's name, in its order; what equals the default is left out."""
    is_without_gradient: bool = False

    def refs(self) -> Iterator[Ref]:
        for argument in self.arguments.values():
            yield from find_refs(argument)

    def document(self) -> dict[str, Any]:
        operator = OPERATORS.get(self.operation)
        names = SIZE_OPERATORS[self.operation] if operator is None else _positional(operator)
        given = [write_argument(self.arguments[name]) for name in _leading(names, self.arguments)]
        rest = list(self.arguments.items())[len(given) :]
        document: dict[str, Any] = {"op": self.operation, "a": given}
        if rest:
            document["k"] = {name: write_argument(argument) for name, argument in rest}
        if self.is_without_gradient:
            document["ng"] = True
        return document


def read_nodes(raw: object, kinds: list[ValueKind]) -> tuple[Node, ...]:
    if type(raw) is not list:
        raise bad("nodes is no list")
    if len(raw) > MAX_NODES:
        raise refuse(
            RefusalCode.TOO_MANY_NODES,
            f"The loss takes {len(raw)} tensor operations where {MAX_NODES} are allowed: unroll fewer steps.",
        )
    nodes = []
    for each in raw:
        node, kind = _read_node(each, kinds)
        nodes.append(node)
        kinds.append(kind)
    return tuple(nodes)


def _read_node(raw: object, kinds: list[ValueKind]) -> tuple[Node, ValueKind]:
    if not (type(raw) is dict and has_keys(raw, {"op", "a"}, frozenset({"k", "ng"}))):
        raise bad("a node has other fields than op, a, k, ng")
    name, given, named, is_without_gradient = raw["op"], raw["a"], raw.get("k", {}), raw.get("ng", False)
    if type(name) is not str or type(given) is not list or type(named) is not dict:
        raise bad("a node has fields of the wrong kind")
    if type(is_without_gradient) is not bool:
        raise bad("ng of a node is neither true nor false")
    name = SYNONYMS.get(name, name)
    if parameters := SIZE_OPERATORS.get(name):
        return Node(name, _read_size_arguments(name, parameters, given, named, kinds)), NUMBER
    operator = OPERATORS.get(name)
    if operator is None:
        raise refuse(
            RefusalCode.OPERATION_NOT_ALLOWED,
            f"The operation {shown(name)} is not one that a loss may use; write it with plain tensor arithmetic.",
        )
    node = Node(name, _read_arguments(operator, given, named, kinds), is_without_gradient)
    if operator.outputs == 1:
        return node, TENSOR
    return node, Tuple(MAX_OUTPUTS if operator.outputs is None else operator.outputs)


def _read_size_arguments(
    name: str, parameters: tuple[str, ...], given: list[Any], named: dict[str, Any], kinds: list[ValueKind]
) -> dict[str, Argument]:
    if named or len(given) != len(parameters):
        raise bad(f"{name} takes {len(parameters)} arguments")
    if name == "sym_size":
        return {"tensor": read_ref(given[0], kinds, TENSOR), "dim": read_integer(given[1], kinds)}
    return {parameter: read_number(each, kinds) for parameter, each in zip(parameters, given, strict=True)}


def _read_arguments(
    operator: Operator, given: list[Any], named: dict[str, Any], kinds: list[ValueKind]
) -> dict[str, Argument]:
    positional = _positional(operator)
    if len(given) > len(positional):
        raise bad(f"{operator.packet} is given too many arguments")
    raw = dict(zip(positional, given, strict=False))
    if not raw.keys().isdisjoint(named):
        raise bad(f"{operator.packet} is given an argument twice")
    raw |= named
    arguments: dict[str, Argument] = {}
    for parameter in operator.parameters:
        if parameter.name in raw:
            value = read_argument(raw.pop(parameter.name), operator, parameter, kinds)
            is_default = type(value) is type(parameter.default) and value == parameter.default
            if parameter.is_required or not is_default:
                arguments[parameter.name] = value
        elif parameter.is_required:
            raise bad(f"{operator.packet} lacks its argument {parameter.name}")
    if raw:
        raise bad(f"{operator.packet} is given an argument that it does not take")
    return arguments


def _positional(operator: Operator) -> tuple[str, ...]:
    return tuple(each.name for each in operator.parameters if not each.is_keyword_only)


def _leading(names: tuple[str, ...], arguments: Mapping[str, Argument]) -> Iterator[str]:
    for name in names:
        if name not in arguments:
            return
        yield name
