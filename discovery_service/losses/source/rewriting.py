"""The plain form of a source that passed: the same program without annotations, asserts, imports and dead functions."""

import ast
from collections.abc import Mapping, Set

from discovery_service.domain.families import Family
from discovery_service.losses.families import find_input
from discovery_service.losses.source.entry import Parameter, find_default, list_parameters, takes_self
from discovery_service.losses.source.guards import is_droppable_assert, is_droppable_raise
from discovery_service.losses.source.methods import number_node, write_parameters


def write_plainly(
    tree: ast.Module, entry: ast.FunctionDef, family: Family, values: Mapping[str, float], numbers: Set[str]
) -> dict[str, float | int]:
    """Rewrites the tree in place; returns the entry's hyper-parameters in the order of its parameters."""
    _Plain(numbers).visit(tree)
    tree.body = [each for each in tree.body if not isinstance(each, ast.Pass)]
    hyperparameters = _write_defaults(entry, family, values)
    _drop_unused(tree, entry)
    ast.fix_missing_locations(tree)
    return hyperparameters


def _write_defaults(entry: ast.FunctionDef, family: Family, values: Mapping[str, float]) -> dict[str, float | int]:
    """Inputs lose their defaults, hyper-parameters have numbers for theirs."""
    hyperparameters: dict[str, float | int] = {}
    parameters = []
    for parameter in list_parameters(entry):
        default = find_default(parameter, values)
        node = None
        if default is not None and not find_input(family, parameter.name):
            hyperparameters[parameter.name] = int(default) if isinstance(default, bool) else default
            node = number_node(default)
        parameters.append(Parameter(parameter.name, node, parameter.is_keyword_only, parameter.line))
    write_parameters(entry, parameters)
    return hyperparameters


def drop_other_methods(tree: ast.Module, entry: ast.FunctionDef) -> None:
    """Further losses of the same source that take `self`: they are not the entry, so nobody says what self is."""
    used = _reachable_names(tree, entry)
    tree.body = [
        each for each in tree.body if not (isinstance(each, ast.FunctionDef) and takes_self(each)) or each.name in used
    ]


def _drop_unused(tree: ast.Module, entry: ast.FunctionDef) -> None:
    used = _reachable_names(tree, entry)
    tree.body = [each for each in tree.body if _is_kept(each, used)]


def _reachable_names(tree: ast.Module, entry: ast.FunctionDef) -> Set[str]:
    definitions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    used = {entry.name}
    todo = [entry]
    while todo:
        for node in ast.walk(todo.pop()):
            if isinstance(node, ast.Name) and node.id not in used:
                used.add(node.id)
                todo += [definitions[node.id]] if node.id in definitions else []
    return used


def _is_kept(node: ast.stmt, used: Set[str]) -> bool:
    match node:
        case ast.FunctionDef(name=name):
            return name in used
        case ast.Assign(targets=targets):
            return any(
                isinstance(each, ast.Name) and each.id in used for target in targets for each in ast.walk(target)
            )
    return isinstance(node, ast.Expr)


class _Plain(ast.NodeTransformer):
    def __init__(self, numbers: Set[str]) -> None:
        self.numbers = numbers

    def visit_Module(self, node: ast.Module) -> ast.Module:
        node.body = self._plain_body(node, node.body)
        for statement in node.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.List):
                # Shared by all calls, so nothing may be appended to it.
                statement.value = ast.Tuple(statement.value.elts, ast.Load())
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.visit(node.args)
        node.body = self._plain_body(node, node.body) or [ast.Pass()]
        return node

    def _plain_body(self, node: ast.Module | ast.FunctionDef, body: list[ast.stmt]) -> list[ast.stmt]:
        docstring = body[:1] if ast.get_docstring(node, clean=False) is not None else []
        return docstring + self._plain_block(body[len(docstring) :])

    def _plain_block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        statements = [self.visit(statement) for statement in body if not self._is_dropped(statement)]
        return [statement for statement in statements if not isinstance(statement, ast.Pass)]

    def _is_dropped(self, node: ast.stmt) -> bool:
        match node:
            case ast.Expr(value=ast.Constant()) | ast.AnnAssign(value=None):
                return True
        return is_droppable_assert(node, self.numbers) or is_droppable_raise(node, self.numbers)

    def visit_If(self, node: ast.If) -> ast.If:
        self.visit(node.test)
        node.body = self._plain_block(node.body) or [ast.Pass()]
        node.orelse = self._plain_block(node.orelse)
        return node

    def visit_For(self, node: ast.For) -> ast.For:
        self.visit(node.iter)
        node.body = self._plain_block(node.body) or [ast.Pass()]
        return node

    def visit_With(self, node: ast.With) -> ast.With:
        node.body = self._plain_block(node.body) or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        assert node.value is not None
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        assert isinstance(node.target, ast.Name)
        value = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        return ast.copy_location(ast.Assign([node.target], value), node)
