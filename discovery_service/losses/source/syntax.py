"""The grammar of the loss language: which statements and functions of Python may stand in a source.

Covered: every node by itself, with its library names, strings, numbers and loops of known length.
Not covered: what a name stands for and whether it is bound (scopes.py), the entry's signature (entry.py).
"""

import ast
import re
from collections.abc import Set

from discovery_service.losses.refusals import Refusal, RefusalCode
from discovery_service.losses.source.constants import find_number, is_literal
from discovery_service.losses.source.expressions import Expressions
from discovery_service.losses.source.grammar import EXPLANATIONS, STARRED_PARAMETERS
from discovery_service.losses.source.guards import is_droppable_assert, is_droppable_raise
from discovery_service.losses.source.imports import path_of
from discovery_service.losses.source.scopes import bound_anywhere


def find_violations(tree: ast.Module, numbers: Set[str]) -> list[Refusal]:
    """Everything in the tree that is not of the language; `numbers` are the names that hold numbers only."""
    grammar = _Grammar(numbers, bound_anywhere(tree))
    for statement in tree.body:
        grammar.check_top_level(statement)
    return grammar.found


class _Grammar(Expressions, ast.NodeVisitor):
    def check_top_level(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value) if not _is_constant(value):
                self.refuse(
                    node,
                    RefusalCode.FORBIDDEN_SYNTAX,
                    "Outside functions only numbers may be assigned, as in EPS = 1e-6: move this into the function.",
                )
            case (
                ast.FunctionDef()
                | ast.Assign()
                | ast.AnnAssign()
                | ast.Pass()
                | ast.Expr(value=ast.Constant(value=str()))
            ):
                self.visit(node)
            case _ if type(node) in EXPLANATIONS:
                self.visit(node)
            case _:
                self.refuse(
                    node,
                    RefusalCode.FORBIDDEN_SYNTAX,
                    "Only imports, numbers and functions may stand outside functions: leave this statement out.",
                )

    # Functions

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.decorator_list:
            self.refuse(node, RefusalCode.FORBIDDEN_SYNTAX, f"Leave the decorator of `{node.name}` out.")
        # Python 3.12 has def f[T: bound](…).
        if getattr(node, "type_params", None):
            self.refuse(node, RefusalCode.FORBIDDEN_SYNTAX, f"Leave the type parameters of `{node.name}` out.")
        self._check_annotation(node.returns)
        self.visit(node.args)
        self.visit_all(node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.refuse(
            node,
            RefusalCode.FORBIDDEN_SYNTAX,
            "A lambda may only be assigned to a name, as in f = lambda x: x * x: write a function with def instead.",
        )

    def visit_arguments(self, node: ast.arguments) -> None:
        if node.vararg or node.kwarg:
            self.refuse(
                node.vararg or node.kwarg or node,
                RefusalCode.WRONG_SIGNATURE,
                STARRED_PARAMETERS,
            )
        for parameter in (*node.posonlyargs, *node.args, *node.kwonlyargs):
            self._check_annotation(parameter.annotation)
        for default in (*node.defaults, *(each for each in node.kw_defaults if each)):
            self._check_default(default)

    def _check_default(self, node: ast.expr) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | None):
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.refuse(node, RefusalCode.FORBIDDEN_STRING, "A default must be a number, not a string: decide it here.")
        elif not is_literal(node):
            self.refuse(
                node,
                RefusalCode.STATE,
                "A default must be a number, as in tau=0.1, for anything else would live on between calls.",
            )
        elif find_number(node) is None:
            self.refuse_size(node)

    def _check_annotation(self, node: ast.expr | None) -> None:
        """Annotations are dropped, so what they name does not matter as long as they are types and nothing else."""
        if node is not None and not _is_type(node):
            self.refuse(
                node, RefusalCode.FORBIDDEN_SYNTAX, "An annotation must be a plain type such as torch.Tensor: drop it."
            )

    # Statements

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.check_target(target)
        if isinstance(node.value, ast.Lambda) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self.visit(node.value.args)
            self.visit(node.value.body)
        else:
            self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._check_annotation(node.annotation)
        self.check_target(node.target)
        if node.value is not None:
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.check_target(node.target)
        self.visit(node.op)
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
            self.visit(node.value)

    def visit_Assert(self, node: ast.Assert) -> None:
        if not is_droppable_assert(node, self.numbers):
            self.refuse(
                node,
                RefusalCode.BRANCH_ON_TENSOR,
                "Only shapes and settings may be asserted: leave this assert out, or bound the values by torch.clamp.",
            )

    def visit_If(self, node: ast.If) -> None:
        if not is_droppable_raise(node, self.numbers):
            self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            if ast.dump(item) != _NO_GRAD:
                self.refuse(node, RefusalCode.FORBIDDEN_SYNTAX, "Only `with torch.no_grad():` is available as a block.")
        self.visit_all(node.body)

    def visit_For(self, node: ast.For) -> None:
        if node.orelse:
            self.refuse(node, RefusalCode.FORBIDDEN_SYNTAX, "A loop may have no else: write what follows behind it.")
        self.check_target(node.target)
        self.visit(node.iter)
        self.visit_repeated(node, [node.iter], node.body)


_NO_GRAD = ast.dump(
    ast.withitem(
        ast.Call(ast.Attribute(ast.Name("torch", ast.Load()), "no_grad", ast.Load()), [], []), optional_vars=None
    )
)


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List):
        return all(is_literal(each) for each in node.elts)
    return is_literal(node) or isinstance(node, ast.Constant)


def _is_type(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=None | str() as value):
            return value is None or re.fullmatch(r"[\w.\[\], |]{1,100}", value) is not None
        case ast.Constant(value=value):
            return value is Ellipsis
        case ast.Name() | ast.Attribute():
            path = path_of(node)
            return bool(path) and not any(name.startswith("_") for name in path)
        case ast.Subscript(value=value, slice=index):
            return _is_type(value) and _is_type(index)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return all(_is_type(each) for each in elements)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _is_type(left) and _is_type(right)
    return False
