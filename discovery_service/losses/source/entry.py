"""The entry of a source: which of its functions is the loss, and whether its parameters fit the contract."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from discovery_service.domain.families import PAIRS, Family
from discovery_service.losses.families import INPUTS, Role, find_input
from discovery_service.losses.refusals import Refusal, RefusalCode, Refused, refuse
from discovery_service.losses.source.constants import find_number, is_within_bounds
from discovery_service.losses.source.grammar import STARRED_PARAMETERS
from discovery_service.losses.source.scopes import bound_names


@dataclass(frozen=True)
class Parameter:
    name: str
    default: ast.expr | None
    is_keyword_only: bool
    line: int


def list_parameters(function: ast.FunctionDef) -> list[Parameter]:
    """Those of the contract: without a first `self`."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    parameters = [
        *(Parameter(each.arg, default, False, each.lineno) for each, default in zip(positional, defaults, strict=True)),
        *(
            Parameter(each.arg, default, True, each.lineno)
            for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        ),
    ]
    return parameters[1:] if takes_self(function) else parameters


def takes_self(function: ast.FunctionDef) -> bool:
    positional = [*function.args.posonlyargs, *function.args.args]
    return bool(positional) and positional[0].arg == "self"


def find_default(parameter: Parameter, values: Mapping[str, float]) -> float | int | None:
    """A hyper-parameter's value: its default, or else what the reply says."""
    if isinstance(parameter.default, ast.Constant) and isinstance(parameter.default.value, bool):
        return parameter.default.value
    if parameter.default is not None and (number := find_number(parameter.default)) is not None:
        return number
    return find_given(parameter.name, values)


def find_given(name: str, values: Mapping[str, float]) -> float | int | None:
    value = values.get(name)
    return value if is_within_bounds(value) else None


def choose_entry(tree: ast.Module, family: Family, name: str | None, values: Mapping[str, float]) -> ast.FunctionDef:
    """Of the functions that no other one uses, the one that fits; raises Refused with what keeps each from it."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if not functions:
        raise refuse(
            RefusalCode.NO_ENTRY,
            "The source defines no function: write `def name(policy_chosen_logps, …, beta):` at the top level."
            if family in PAIRS
            else f"The source defines no function: write one at the top level that takes {_shown_inputs(family)}.",
        )
    used = {name for function in functions for name in _used_names(function)}
    free = [function for function in functions if function.name not in used]
    if not free:
        raise refuse(
            RefusalCode.RECURSION,
            "Every function is used by another one: write one function that no other one calls.",
            functions[-1].lineno,
        )
    faults = {function: list(_find_faults(function, family, values)) for function in free}
    fitting = [function for function in free if not faults[function]]
    if fitting:
        return next((function for function in fitting if function.name == name), fitting[-1])
    raise Refused(*faults[_guess_intended(free, family, name)])


def _used_names(function: ast.FunctionDef) -> Iterator[str]:
    parameters = (parameter.name for parameter in list_parameters(function))
    own = {function.name, *parameters, *(name for name, _, _ in bound_names(function.body))}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in own:
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            yield node.attr


def _guess_intended(functions: Sequence[ast.FunctionDef], family: Family, name: str | None) -> ast.FunctionDef:
    def resemblance(function: ast.FunctionDef) -> tuple[bool, int]:
        known = sum(find_input(family, parameter.name) is not None for parameter in list_parameters(function))
        return function.name == name, known

    return max(reversed(functions), key=resemblance)


def _find_faults(function: ast.FunctionDef, family: Family, values: Mapping[str, float]) -> Iterator[Refusal]:
    policy_inputs = {each.name for each in INPUTS[family] if each.role is Role.POLICY}
    names = {parameter.name for parameter in list_parameters(function)} | _read_of_self(function)
    for parameter in list_parameters(function):
        if find_input(family, parameter.name) is None and find_default(parameter, values) is None:
            yield _explain_parameter(parameter, family)
    if starred := function.args.vararg or function.args.kwarg:
        yield Refusal(RefusalCode.WRONG_SIGNATURE, STARRED_PARAMETERS, starred.lineno)
    if not policy_inputs & names:
        yield Refusal(
            RefusalCode.WRONG_SIGNATURE,
            f"`{function.name}` takes nothing that the policy says: name {_listed(sorted(policy_inputs))}"
            " among its parameters.",
            function.lineno,
        )


def _read_of_self(function: ast.FunctionDef) -> set[str]:
    return {
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }


def _explain_parameter(parameter: Parameter, family: Family) -> Refusal:
    name = parameter.name
    if parameter.default is not None:
        return Refusal(
            RefusalCode.MISSING_VALUE,
            f"The parameter `{name}` is no input and its default is no number: write `{name}=0.1`, say.",
            parameter.line,
        )
    known = [each.name for each in INPUTS[family]]
    close = get_close_matches(name[:60], known, n=1, cutoff=0.6)
    elsewhere = next((other for other in Family if find_input(other, name)), None)
    if elsewhere is not None:
        hint = f"it belongs to the family {elsewhere}, while this one has {_shown_inputs(family)}"
    elif close:
        hint = f"did you mean `{close[0]}`, or a hyper-parameter with a default as in {name}=0.1"
    else:
        hint = f"take only {_shown_inputs(family)}, or give it a default as in {name}=0.1"
    return Refusal(RefusalCode.UNKNOWN_INPUT, f"`{name}` is no input of the family {family}: {hint}.", parameter.line)


def _shown_inputs(family: Family) -> str:
    return _listed([each.name for each in INPUTS[family]])


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
