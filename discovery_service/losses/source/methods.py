"""A first parameter `self`, as loss methods of trainers have it: what it is read for becomes parameters.

Covered: numbers and inputs read as `self.x`, set once to a number in the body, or read by getattr with a default.
Not covered: methods, objects and anything that lives on between calls; these are refused as state.
"""

import ast
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from discovery_service.domain.families import Family
from discovery_service.losses.families import find_input
from discovery_service.losses.refusals import Refusal, RefusalCode
from discovery_service.losses.source.constants import find_number
from discovery_service.losses.source.entry import Parameter, find_given, list_parameters, takes_self
from discovery_service.losses.source.scopes import bound_names
from discovery_service.losses.source.words import is_dunder


def release_self(
    function: ast.FunctionDef, family: Family, values: Mapping[str, float], functions: Iterable[str]
) -> list[Refusal]:
    """Rewrites the function so that it stands alone; says what of `self` no parameter can stand for."""
    if not takes_self(function):
        return []
    reading = _Reading(family, frozenset(functions))
    reading.take_settings(function)
    _Getattr(reading.settings).visit(function)
    for statement in function.body:
        reading.visit(statement)
    parameters = list_parameters(function)
    inputs, hyperparameters = _sort_names(reading, {parameter.name for parameter in parameters}, values)
    if reading.refusals:
        return reading.refusals
    _drop_plain_copies(function, reading.read)
    _separate_names(function, reading.read)
    write_parameters(function, [*parameters, *inputs, *hyperparameters])
    return []


def _sort_names(
    reading: "_Reading", known: Set[str], values: Mapping[str, float]
) -> tuple[list[Parameter], list[Parameter]]:
    """What was read of `self` as new inputs and new hyper-parameters; what has no value is refused."""
    inputs: list[Parameter] = []
    hyperparameters: list[Parameter] = []
    for name, line in reading.read.items():
        if name in known:
            continue
        value = reading.settings.get(name, find_given(name, values))
        if find_input(reading.family, name):
            inputs.append(Parameter(name, None, False, line))
        elif value is None:
            reading.refusals.append(_missing(name, line))
        else:
            hyperparameters.append(Parameter(name, number_node(value), False, line))
    return inputs, hyperparameters


def find_getattr(node: ast.Call) -> tuple[str, float | int] | None:
    """The name and the number of `getattr(self, "name", 0.1)`."""
    match node:
        case ast.Call(
            func=ast.Name(id="getattr"),
            args=[ast.Name(id="self"), ast.Constant(value=str() as name), default],
            keywords=[],
        ) if name.isidentifier() and (value := find_number(default)) is not None:
            return name, value
    return None


def number_node(value: float | int) -> ast.expr:
    return ast.parse(repr(value), mode="eval").body


class _Getattr(ast.NodeTransformer):
    """`getattr(self, "x", 0.1)` as `self.x`, with the number as its value."""

    def __init__(self, settings: dict[str, float | int]) -> None:
        self.settings = settings

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        found = find_getattr(node)
        if found is None:
            return node
        name, value = found
        self.settings.setdefault(name, value)
        return ast.copy_location(ast.Attribute(node.args[0], name, ast.Load()), node)


@dataclass
class _Reading(ast.NodeVisitor):
    """What a function does with `self`."""

    family: Family
    functions: frozenset[str]
    read: dict[str, int] = field(default_factory=dict)
    settings: dict[str, float | int] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def take_settings(self, function: ast.FunctionDef) -> None:
        """Takes `self.x = 0.1` out of the body."""
        kept = []
        for statement in function.body:
            name, value = _setting(statement)
            if value is None or not name or name in self.settings or find_input(self.family, name):
                kept.append(statement)
            else:
                self.settings[name] = value
                self.read.setdefault(name, statement.lineno)
        function.body = kept

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = _read_name(node)
        if name is None:
            inner = _read_name(node.value)
            if inner is not None and not self._is_tensor(inner):
                self._refuse_object(inner, node)
            else:
                self.visit(node.value)
        elif isinstance(node.ctx, ast.Load):
            self.read.setdefault(name, node.lineno)
        else:
            self.refusals.append(
                Refusal(
                    RefusalCode.STATE,
                    f"`self.{name}` is written to, and a loss keeps nothing between calls: use a local variable.",
                    node.lineno,
                )
            )

    def visit_Subscript(self, node: ast.Subscript) -> None:
        name = _read_name(node.value)
        if name is not None and not self._is_tensor(name):
            self._refuse_object(name, node)
            self.visit(node.slice)
        else:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _read_name(node.func)
        if name is None:
            self.generic_visit(node)
            return
        if name in self.functions:
            code = RefusalCode.FORBIDDEN_SYNTAX
            message = f"`self.{name}` is no method here: write {name}(…) and pass what it needs, without self."
        else:
            code = RefusalCode.STATE
            message = f"`self.{name}` is a method of an object that lives between calls: write the formula out."
        self.refusals.append(Refusal(code, message, node.lineno))
        for argument in (*node.args, *node.keywords):
            self.visit(argument)

    def _is_tensor(self, name: str) -> bool:
        found = find_input(self.family, name)
        return found is not None and name not in ("beta", "progress")

    def _refuse_object(self, name: str, node: ast.expr) -> None:
        self.refusals.append(
            Refusal(
                RefusalCode.STATE,
                f"`self.{name}` is an object that lives between calls, while of self only numbers may be read:"
                " compute the value from this batch, or make it a keyword parameter with a default.",
                node.lineno,
            )
        )


def _read_name(node: ast.expr) -> str | None:
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=attr):
            return attr
    return None


def _setting(statement: ast.stmt) -> tuple[str, float | int | None]:
    match statement:
        case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
            return _read_name(target) or "", find_number(value)
    return "", None


def _missing(name: str, line: int) -> Refusal:
    if is_dunder(name):
        return Refusal(RefusalCode.FORBIDDEN_NAME, f"`self.{name}` is internal to Python: leave it out.", line)
    return Refusal(
        RefusalCode.MISSING_VALUE,
        f"`self.{name}` has no value: make it a keyword parameter with a default, as in {name}=0.1, or give it one"
        " beside the source.",
        line,
    )


def _drop_plain_copies(function: ast.FunctionDef, names: Iterable[str]) -> None:
    """`beta = self.beta` says nothing once `beta` is a parameter; kept where the name is bound again."""
    bindings = [name for name, _, _ in bound_names(function.body)]
    copies = [
        statement
        for statement in function.body
        for name in names
        if bindings.count(name) == 1 and _is_copy(statement, name)
    ]
    function.body = [statement for statement in function.body if statement not in copies] or [ast.Pass()]


def _is_copy(statement: ast.stmt, name: str) -> bool:
    match statement:
        case (
            ast.Assign(targets=[ast.Name(id=target)], value=value)
            | ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value)
        ):
            return target == name and _read_name(value) == name
    return False


def _find_aliases(function: ast.FunctionDef, names: Iterable[str]) -> dict[str, str]:
    """Other names for those that the function binds anew, so that `self.x` and its own `x` stay apart."""
    stored = {
        node.arg if isinstance(node, ast.arg) else node.id
        for statement in function.body
        for node in ast.walk(statement)
        if isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    }
    taken = stored | {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    aliases: dict[str, str] = {}
    for name in names:
        if name in stored:
            alias = f"given_{name}"
            while alias in taken:
                alias += "_"
            aliases[name] = alias
            taken.add(alias)
    return aliases


def _separate_names(function: ast.FunctionDef, names: Iterable[str]) -> None:
    aliases = _find_aliases(function, names)
    _Replacing(aliases).visit(function)
    place = function.body[0]
    copies: list[ast.stmt] = [
        ast.fix_missing_locations(
            ast.copy_location(ast.Assign([ast.Name(alias, ast.Store())], ast.Name(name, ast.Load())), place)
        )
        for name, alias in aliases.items()
    ]
    start = 0 if ast.get_docstring(function, clean=False) is None else 1
    function.body[start:start] = copies


class _Replacing(ast.NodeTransformer):
    def __init__(self, aliases: Mapping[str, str]) -> None:
        self.aliases = aliases

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        name = _read_name(node)
        if name is None or not isinstance(node.ctx, ast.Load):
            return self.generic_visit(node)
        return ast.copy_location(ast.Name(self.aliases.get(name, name), ast.Load()), node)


def write_parameters(function: ast.FunctionDef, parameters: list[Parameter]) -> None:
    """In this order; by keyword only from where Python would not take it otherwise."""
    arguments = function.args
    arguments.posonlyargs, arguments.args, arguments.kwonlyargs = [], [], []
    arguments.defaults, arguments.kw_defaults = [], []
    first_default = next((place for place, each in enumerate(parameters) if each.default is not None), len(parameters))
    is_mixed = any(each.default is None for each in parameters[first_default:])
    for place, parameter in enumerate(parameters):
        node = ast.arg(parameter.name, lineno=parameter.line, col_offset=0)
        if parameter.is_keyword_only or arguments.kwonlyargs or (is_mixed and place >= first_default):
            arguments.kwonlyargs.append(node)
            arguments.kw_defaults.append(parameter.default)
        else:
            arguments.args.append(node)
            if parameter.default is not None:
                arguments.defaults.append(parameter.default)
