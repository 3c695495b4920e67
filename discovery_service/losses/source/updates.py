"""`x += y` is read as `x = x + y`; refused where that would not be the same, since a tensor is changed in place.

Covered: names that may share memory because one was assigned from the other, as it is or as a view.
Not covered: what a helper hands through.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass

from discovery_service.losses.refusals import Refusal, RefusalCode
from discovery_service.losses.source.imports import path_of
from discovery_service.losses.vocabulary import VIEWS


def find_shared_updates(tree: ast.Module, numbers: Set[str]) -> list[Refusal]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [refusal for function in functions for refusal in _find_in(function, numbers)]


Place = tuple[int, int]


@dataclass(frozen=True)
class _Sharing:
    names: frozenset[str]
    place: Place


def _place(node: ast.stmt | ast.expr) -> Place:
    return node.lineno, node.col_offset


def _find_in(function: ast.FunctionDef, numbers: Set[str]) -> Iterator[Refusal]:
    nodes = list(_own_nodes(function))
    arguments = function.args
    given = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)} - numbers
    sharings = [sharing for node in nodes for sharing in _sharings(node)]
    loops = [node for node in nodes if isinstance(node, ast.For)]
    reads = [node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    for node in nodes:
        if not isinstance(node, ast.AugAssign) or not isinstance(node.target, ast.Name):
            continue
        name = node.target.id
        is_repeated = any(loop.lineno < node.lineno <= (loop.end_lineno or 0) for loop in loops)
        owned_since = None if is_repeated else _find_owned(function, name, _place(node))
        partners = _partners(name, sharings, owned_since or (0, 0)) - numbers
        from_outside = (partners if owned_since else {name, *partners}) & given
        read_later = {each.id for each in reads if is_repeated or _place(each) > _place(node)}
        shared = from_outside or partners & read_later
        if shared and name not in numbers:
            yield _refuse(name, min(shared), node)


def _refuse(name: str, other: str, node: ast.AugAssign) -> Refusal:
    operator = ast.unparse(ast.BinOp(ast.Constant(0), node.op, ast.Constant(0))).split()[1]
    return Refusal(
        RefusalCode.IN_PLACE,
        f"`{name} {operator}= …` changes the tensor `{other}` in place: write `{name} = {name} {operator} …` instead.",
        node.lineno,
    )


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    todo: list[ast.AST] = list(reversed(function.body))
    while todo:
        node = todo.pop()
        if not isinstance(node, ast.FunctionDef):
            yield node
            todo += reversed(list(ast.iter_child_nodes(node)))


def _find_owned(function: ast.FunctionDef, name: str, before: Place) -> Place | None:
    """The last assignment that gave the name memory of its own."""
    places = [
        _place(statement)
        for statement in function.body
        if isinstance(statement, ast.Assign)
        and _place(statement) < before
        and any(isinstance(target, ast.Name) and target.id == name for target in statement.targets)
        and not _sources(statement.value)
    ]
    return max(places, default=None)


def _sharings(node: ast.AST) -> Iterator[_Sharing]:
    match node:
        case ast.Assign(targets=targets, value=value):
            pairs = [pair for target in targets for pair in _pairs(target, value)]
            if len(targets) > 1:
                yield _Sharing(_names_in(targets), _place(node))
        case ast.For(target=target, iter=value):
            pairs = [(target, value)]
        case _:
            return
    for target, value in pairs:
        if sources := _sources(value):
            yield _Sharing(_names_in([target]) | sources, _place(node))


def _names_in(targets: list[ast.expr]) -> frozenset[str]:
    return frozenset(each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def _sources(node: ast.expr) -> frozenset[str]:
    """The names whose memory the value may share."""
    match node:
        case ast.Name(id=name):
            return frozenset({name})
        case ast.Subscript(value=value):
            return _sources(value)
        case ast.Attribute(value=value, attr=attr) if attr in VIEWS:
            return _sources(value)
        case ast.Call(func=ast.Attribute(attr=attr) as function, args=args) if attr in VIEWS:
            viewed = args[:1] if path_of(function)[:1] == ("torch",) else [function.value]
            return frozenset().union(*(_sources(each) for each in viewed))
        case ast.IfExp(body=body, orelse=orelse):
            return _sources(body) | _sources(orelse)
        case ast.BoolOp(values=values):
            return frozenset().union(*(_sources(each) for each in values))
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return frozenset().union(*(_sources(each) for each in elements))
    return frozenset()


def _partners(name: str, sharings: list[_Sharing], since: Place) -> frozenset[str]:
    sharing_with: dict[str, list[frozenset[str]]] = defaultdict(list)
    for sharing in sharings:
        if sharing.place >= since:
            for each in sharing.names:
                sharing_with[each].append(sharing.names)
    group, to_visit = {name}, [name]
    while to_visit:
        for names in sharing_with.pop(to_visit.pop(), ()):
            to_visit.extend(names - group)
            group |= names
    return frozenset(group - {name})
