"""The expressions of the loss language, and what assigns or repeats them."""

import ast
import math
import re
from collections.abc import Set

from discovery_service.losses.refusals import Refusal, RefusalCode
from discovery_service.losses.source.constants import find_number, is_literal, is_within_bounds
from discovery_service.losses.source.grammar import ALLOWED, EXPLANATIONS
from discovery_service.losses.source.imports import path_of
from discovery_service.losses.source.methods import find_getattr
from discovery_service.losses.source.words import judge_library_name, judge_method, judge_property
from discovery_service.losses.vocabulary import (
    ARGUMENTS_WITH_SIDE_EFFECTS,
    FORBIDDEN_ARGUMENTS,
    LIBRARIES,
    SIZED,
    STRING_ARGUMENTS,
)

MAX_ITERATIONS = 64
MAX_ELEMENTS = 2**20
_EINSUM_EQUATION = re.compile(r"[a-zA-Z,. ]{1,40}(?:->[a-zA-Z. ]{0,20})?")
_QUESTIONS_OF_BATCH_SIZE = frozenset({"shape", "size", "numel"})


class Expressions(ast.NodeVisitor):
    """Collects what is not of the language.

    `numbers` are the names that hold numbers only; `bound` is every name that is bound, for what is read of any
    other name is not worth a word beside that the name stands for nothing.
    """

    def __init__(self, numbers: Set[str], bound: Set[str]) -> None:
        self.numbers = numbers
        self.bound = bound - {"self"}
        self.found: list[Refusal] = []
        self.iterations = 1

    def refuse(self, node: ast.AST, code: RefusalCode, message: str) -> None:
        self.found.append(Refusal(code, message, getattr(node, "lineno", None)))

    def note(self, node: ast.AST, verdict: tuple[RefusalCode, str] | None) -> None:
        if verdict is not None:
            self.refuse(node, *verdict)

    def generic_visit(self, node: ast.AST) -> None:
        if type(node) in EXPLANATIONS:
            self.refuse(node, *EXPLANATIONS[type(node)])
        elif not isinstance(node, ALLOWED):
            self.refuse(
                node,
                RefusalCode.FORBIDDEN_SYNTAX,
                f"{type(node).__name__} is no part of the loss language: write it with assignments, calls and return.",
            )
        else:
            super().generic_visit(node)

    def visit_all(self, nodes: list[ast.stmt] | list[ast.expr]) -> None:
        for node in nodes:
            self.visit(node)

    def check_target(self, node: ast.expr) -> None:
        match node:
            case ast.Name() | ast.Attribute(value=ast.Name(id="self")):
                return
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                for each in elements:
                    self.check_target(each)
            case ast.Subscript():
                self.refuse(
                    node,
                    RefusalCode.IN_PLACE,
                    "Writing into a tensor or list is not available: use torch.where(mask, new, old) instead.",
                )
            case ast.Attribute(attr=attr):
                self.refuse(
                    node,
                    RefusalCode.STATE,
                    f"Writing the attribute `.{attr}` is not available: keep what is computed in local variables.",
                )
            case _:
                self.visit(node)

    def visit_repeated(self, node: ast.AST, sources: list[ast.expr], body: list[ast.stmt] | list[ast.expr]) -> None:
        before = self.iterations
        for source in sources:
            self.iterations *= max(1, _count(source) or 1)
        if before <= MAX_ITERATIONS < self.iterations:
            self._refuse_loop(node)
        self.visit_all(body)
        self.iterations = before

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._visit_comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._visit_comprehension(node)

    def _visit_comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> None:
        for generator in node.generators:
            self.visit(generator)
        self.visit_repeated(node, [generator.iter for generator in node.generators], [node.elt])

    def visit_comprehension(self, node: ast.comprehension) -> None:
        if node.is_async:
            self.refuse(node.iter, *EXPLANATIONS[ast.Await])
        self.check_target(node.target)
        self.visit_all([node.iter, *node.ifs])

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str | bytes):
            self.refuse(
                node,
                RefusalCode.FORBIDDEN_STRING,
                'Strings are available only as docstrings and as arguments like reduction="none":'
                " write x.device for a device, x.dtype or torch.float32 for a type and math.inf for infinity.",
            )
        elif isinstance(node.value, complex):
            self.refuse(node, RefusalCode.FORBIDDEN_SYNTAX, "Complex numbers are not available: use real ones.")
        elif isinstance(node.value, int | float) and not is_within_bounds(node.value):
            self.refuse_size(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in EXPLANATIONS:
            self.refuse(node, *EXPLANATIONS[type(node.op)])
            return
        if is_literal(node):
            if find_number(node) is None:
                self.refuse_size(node)
            return
        for side, other in ((node.left, node.right), (node.right, node.left)):
            times = find_number(other)
            if isinstance(side, ast.List | ast.Tuple) and times is not None and times > MAX_ITERATIONS:
                self._refuse_loop(node)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.slice, ast.Compare):
            self.refuse(
                node,
                RefusalCode.DATA_DEPENDENT_SHAPE,
                "Choosing rows by a condition makes a tensor of unknown size: use torch.where or multiply by a mask.",
            )
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        path = path_of(node)
        if path and path[0] in LIBRARIES:
            self.note(node, judge_library_name(path, is_called=False))
        elif not path or path[0] in self.bound:
            self.note(node, judge_property(node.attr))
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        if find_getattr(node):
            return
        self._check_callee(node.func)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == "range":
            self._check_range(node)
        if name in SIZED:
            self._check_elements(name, node)
        arguments = node.args
        if path_of(node.func) == ("torch", "einsum") and arguments and _is_equation(arguments[0]):
            arguments = arguments[1:]
        self.visit_all(arguments)
        for keyword in node.keywords:
            self._check_keyword(keyword, may_be_string=isinstance(node.func, ast.Attribute))

    def _check_callee(self, node: ast.expr) -> None:
        path = path_of(node)
        if path and path[0] in LIBRARIES:
            self.note(node, judge_library_name(path, is_called=True))
        elif isinstance(node, ast.Attribute):
            if not path or path[0] in self.bound:
                self.note(node, judge_method(node.attr))
                self.visit(node.value)
        elif isinstance(node, ast.Name):
            self.visit(node)
        else:
            self.refuse(node, RefusalCode.FORBIDDEN_SYNTAX, "Only functions with a name may be called: name it first.")
            self.visit(node)

    def _check_keyword(self, node: ast.keyword, *, may_be_string: bool) -> None:
        name = node.arg or "**"
        if node.arg is None:
            self.refuse(node.value, RefusalCode.FORBIDDEN_SYNTAX, "Arguments with ** are not available: name each one.")
        elif name in ARGUMENTS_WITH_SIDE_EFFECTS:
            self.refuse(
                node.value,
                RefusalCode.IN_PLACE,
                f"The argument {name}= writes into a tensor: assign the result instead.",
            )
        elif name in FORBIDDEN_ARGUMENTS:
            self.refuse(
                node.value, RefusalCode.OPERATION_NOT_ALLOWED, f"The argument {name}= is not available: leave it out."
            )
        is_word = isinstance(node.value, ast.Constant) and node.value.value in STRING_ARGUMENTS.get(name, ())
        if not (may_be_string and is_word):
            self.visit(node.value)

    def _check_range(self, node: ast.Call) -> None:
        if any(
            isinstance(part, ast.Attribute) and part.attr in _QUESTIONS_OF_BATCH_SIZE
            for argument in node.args
            for part in ast.walk(argument)
        ):
            self.refuse(
                node,
                RefusalCode.BRANCH_ON_BATCH_SIZE,
                "A loop over rows or tokens is not available: write operations on whole tensors, which do all at once.",
            )
        count = _count(node)
        if count is not None and count > MAX_ITERATIONS:
            self._refuse_loop(node)

    def _check_elements(self, name: str, node: ast.Call) -> None:
        if _count_elements(name, node.args) > MAX_ELEMENTS:
            self.refuse(
                node,
                RefusalCode.TOO_MUCH_MEMORY,
                f"A tensor of more than {MAX_ELEMENTS} elements is not available: make it of the size of the inputs.",
            )

    def _refuse_loop(self, node: ast.AST) -> None:
        self.refuse(
            node,
            RefusalCode.LOOP_TOO_LONG,
            f"More than {MAX_ITERATIONS} repetitions are not available: write operations on whole tensors.",
        )

    def refuse_size(self, node: ast.AST) -> None:
        self.refuse(
            node,
            RefusalCode.NUMBER_TOO_LARGE,
            "Integers up to a million and finite floats up to 1e30 are available: write a smaller number.",
        )


def _is_equation(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _EINSUM_EQUATION.fullmatch(node.value) is not None
    )


def _count(node: ast.expr) -> int | None:
    """How often a loop over it goes round, where that stands in the source."""
    match node:
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return len(elements)
        case ast.Call(func=ast.Name(id="range"), args=args):
            if not all(is_literal(each) for each in args):
                return None
            bounds = [number for each in args if isinstance(number := find_number(each), int)]
            try:
                return len(range(*bounds)) if len(bounds) == len(args) else MAX_ELEMENTS
            except (TypeError, ValueError):
                return None
        case ast.Call(func=ast.Name(id="enumerate" | "zip" | "list" | "tuple"), args=args):
            return max((count for each in args if (count := _count(each)) is not None), default=None)
    return None


def _count_elements(name: str, arguments: list[ast.expr]) -> int:
    """Of the tensor that a call makes, as far as its sizes are literal."""
    if name in ("full", "new_full"):
        arguments = arguments[:1]
    parts = [part for each in arguments for part in (each.elts if isinstance(each, ast.Tuple | ast.List) else [each])]
    sizes = [abs(number) for each in parts if isinstance(number := find_number(each), int)]
    if any(is_literal(each) and find_number(each) is None for each in parts):
        return MAX_ELEMENTS + 1
    return max(sizes, default=1) if name in ("arange", "linspace") else math.prod(max(1, size) for size in sizes)
