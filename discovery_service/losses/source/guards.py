"""Asserts on shapes and settings: they hold wherever a loss is called, so they are dropped, not compiled."""

import ast
from collections.abc import Iterator, Set
from typing import TypeGuard

from discovery_service.losses.source.imports import path_of
from discovery_service.losses.vocabulary import SHAPE_METHODS, SHAPE_PROPERTIES, TORCH_VALUES

_SETTINGS = frozenset({"beta", "progress"})
_NUMERIC = frozenset({"abs", "float", "int", "max", "min", "range", "round"})
_COMPUTED = ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.Compare | ast.IfExp | ast.Call
_CALLABLE = frozenset({"abs", "all", "any", "float", "int", "max", "min"})
_PARTS = (
    ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.Compare | ast.Tuple | ast.List | ast.Subscript | ast.Slice | ast.IfExp
)


def find_numbers(tree: ast.Module) -> Set[str]:
    """Names that hold nothing but Python's numbers, wherever in the source they are bound."""
    bindings = [binding for node in ast.walk(tree) for binding in _bindings(node)]
    numbers = {*_SETTINGS, *(name for name, _ in bindings)}
    while others := {name for name, value in bindings if name in numbers and not _is_number(value, numbers)}:
        numbers -= others
    return numbers


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """Names and what they are bound to, None where that is not to be seen."""
    match node:
        case ast.arguments():
            parameters = [*node.posonlyargs, *node.args]
            defaults = [None] * (len(parameters) - len(node.defaults)) + node.defaults + node.kw_defaults
            for parameter, default in zip([*parameters, *node.kwonlyargs], defaults, strict=True):
                if parameter.arg not in _SETTINGS:
                    yield parameter.arg, default
        case ast.FunctionDef(name=name):
            yield name, None
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            yield name, value
        case ast.AugAssign(target=ast.Name(id=name), value=value):
            yield name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range")) as value):
            yield name, value
        case ast.Assign(targets=targets):
            yield from ((name, None) for target in targets for name in _stored(target))
        case ast.For(target=target) | ast.comprehension(target=target):
            yield from ((name, None) for name in _stored(target))


def _stored(target: ast.expr) -> Iterator[str]:
    return (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _is_number(node: ast.expr | None, numbers: Set[str]) -> bool:
    if node is None or isinstance(node, ast.Constant):
        return isinstance(node, ast.Constant) and isinstance(node.value, int | float)
    if isinstance(node, ast.Attribute):
        path = path_of(node)
        return path[:1] == ("math",) or path in {("self", name) for name in _SETTINGS}
    if isinstance(node, ast.Name):
        return node.id in numbers or node.id in _NUMERIC
    return isinstance(node, _COMPUTED) and all(
        _is_number(child, numbers) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
    )


def is_droppable_assert(node: ast.stmt, numbers: Set[str]) -> TypeGuard[ast.Assert]:
    return (
        isinstance(node, ast.Assert)
        and _is_about_shapes(node.test, numbers)
        and (node.msg is None or _is_text(node.msg, numbers))
    )


def is_droppable_raise(node: ast.stmt, numbers: Set[str]) -> TypeGuard[ast.If]:
    """`if x.shape != y.shape: raise ValueError("…")`, the long form of such an assert."""
    match node:
        case ast.If(test=test, body=[ast.Raise(exc=ast.Call(func=ast.Name(), args=args, keywords=[]), cause=None)]):
            return (
                not node.orelse
                and _is_about_shapes(test, numbers)
                and all(_is_text(argument, numbers) for argument in args)
            )
    return False


def _is_text(node: ast.expr, numbers: Set[str]) -> bool:
    match node:
        case ast.Constant(value=str()):
            return True
        case ast.JoinedStr(values=values):
            return all(_is_text(value, numbers) for value in values)
        case ast.FormattedValue(value=value, format_spec=None):
            return _is_about_shapes(value, numbers)
    return False


def _is_about_shapes(node: ast.AST, numbers: Set[str]) -> bool:
    match node:
        case ast.Constant(value=value):
            return not isinstance(value, str | bytes)
        case ast.Name(id=name):
            return name in numbers
        case ast.Attribute(value=ast.Name(id="torch"), attr=attr):
            return attr in TORCH_VALUES
        case ast.Attribute(value=ast.Name(id="self"), attr=attr):
            return attr in numbers
        case ast.Attribute(value=ast.Name(), attr=attr):
            return attr in SHAPE_PROPERTIES
        case ast.Call():
            return _is_question_of_shape(node, numbers)
    return isinstance(node, _PARTS) and all(
        _is_about_shapes(child, numbers)
        for child in ast.iter_child_nodes(node)
        if isinstance(child, ast.expr | ast.Slice)
    )


def _is_question_of_shape(node: ast.Call, numbers: Set[str]) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="len"), args=[ast.Name()], keywords=[]):
            return True
        case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(), kind], keywords=[]):
            kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
            return all(path_of(each) in {("torch", "Tensor"), ("float",), ("int",)} for each in kinds)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="is_tensor"), args=[ast.Name()]):
            return not node.keywords
        case ast.Call(func=ast.Attribute(value=ast.Name(), attr=attr), args=args, keywords=[]):
            return attr in SHAPE_METHODS and all(_is_about_shapes(each, numbers) for each in args)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return name in _CALLABLE and all(_is_about_shapes(each, numbers) for each in args)
    return False
