"""Computes a source's expressions over a closed world of values; who runs its statements is a subclass.

Values are tensors, numbers, tuples and lists of them, types, and the source's own functions. Numbers that training sets
are Scalars: arithmetic on them becomes tensor operations, and a choice between two values becomes `where`.
"""

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from discovery_service.losses.refusals import RefusalCode, Refused, refuse
from workers.jail import scalars
from workers.jail.arms import enter_arm
from workers.jail.attributes import find_attribute, look_into
from workers.jail.calls import BRANCH, call_builtin, call_math, call_operation, items
from workers.jail.names import BUILTINS
from workers.jail.plain import (
    MAX_ITEMS,
    bind_arguments,
    check_items,
    operate_on_lists,
    operate_on_numbers,
    part,
    position,
)
from workers.jail.scalars import BINARY, COMPARISONS, NUMBERS, UNARY, beside, is_truth
from workers.jail.values import (
    UNASSIGNED,
    Append,
    Builtin,
    Function,
    Mathematics,
    NumberNeeded,
    Operation,
    Scalar,
    Scope,
    need_number,
)

MAX_STEPS = 5_000
MAX_OPERATIONS = 512
MAX_CALLS_DEEP = 16
ON_SCALAR = (
    "A branch on beta, progress or a hyper-parameter needs an if and an else that both assign the same names or both"
    " return; or use a conditional expression, min() or max()."
)

AS_INDEX = (
    "annotator is -1 where nobody knows who labelled the pair, and -1 is no index of its own: write"
    " table[annotator.clamp(min=0)], and torch.where(annotator < 0, a, b) for the unknown ones."
)
_TAKING = frozenset({"gather", "index_select", "take", "take_along_dim"})


class Expressions(ABC):
    def __init__(self) -> None:
        self.at: ast.AST = ast.Pass()
        """What is being computed, for whoever has to say where something went wrong."""
        self.arms_deep = 0
        """In how many arms, of which only one would be run by Python."""
        self.annotator: Tensor | None = None
        """The input that is -1 where nobody knows, so that it is no index as it is."""
        self._steps = 0
        self._operations = 0
        self._calls_deep = 0

    @abstractmethod
    def run_body(self, body: list[ast.stmt], scope: Scope) -> Any:
        """What a function with these statements returns."""

    def step(self, node: ast.AST) -> None:
        self.at = node
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise refuse(
                RefusalCode.TOO_MANY_STEPS,
                f"The source takes more than {MAX_STEPS} steps: use fewer, shorter loops.",
            )

    def _count(self) -> None:
        self._operations += 1
        if self._operations > MAX_OPERATIONS:
            raise refuse(
                RefusalCode.TOO_MANY_NODES,
                f"The loss takes more than {MAX_OPERATIONS} tensor operations: use fewer, or shorter loops.",
            )

    def evaluate(self, node: ast.expr, scope: Scope) -> Any:
        self.step(node)
        compute = _EXPRESSIONS.get(type(node))
        if compute is None:
            raise refuse(RefusalCode.FORBIDDEN_SYNTAX, f"{type(node).__name__} is no part of the loss language.")
        return compute(self, node, scope)

    def _constant(self, node: ast.Constant, scope: Scope) -> Any:
        del scope
        if isinstance(node.value, bytes | complex):
            raise refuse(RefusalCode.FORBIDDEN_SYNTAX, "Bytes and complex numbers are no part of the loss language.")
        return node.value

    def _name(self, node: ast.Name, scope: Scope) -> Any:
        return self.look_up(node.id, scope)

    def look_up(self, name: str, scope: Scope | None) -> Any:
        while scope is not None:
            if name in scope.names:
                value = scope.names[name]
                if value is UNASSIGNED:
                    raise refuse(
                        RefusalCode.BRANCH_ON_SCALAR, f"{name} is assigned in one arm of an if only. {ON_SCALAR}"
                    )
                return value
            scope = scope.parent
        if name in BUILTINS:
            return Builtin(name)
        raise refuse(RefusalCode.FORBIDDEN_NAME, f"{name} is not defined here.")

    def _binary(self, node: ast.BinOp, scope: Scope) -> Any:
        left, right = self.evaluate(node.left, scope), self.evaluate(node.right, scope)
        self.at = node
        return self.operate(type(node.op), left, right)

    def operate(self, symbol: type[ast.operator], left: Any, right: Any) -> Any:
        if symbol not in BINARY:
            raise refuse(RefusalCode.FORBIDDEN_SYNTAX, "Shifts are no part of the loss language.")
        tensor = left if isinstance(left, Tensor) else right if isinstance(right, Tensor) else None
        known = (Tensor, Scalar, *NUMBERS)
        if isinstance(left, known) and isinstance(right, known):
            if tensor is not None:
                self._count()
                return BINARY[symbol](beside(left, tensor), beside(right, tensor))
            if isinstance(left, Scalar) or isinstance(right, Scalar):
                self._count()
                return scalars.operate(symbol, left, right)
            return operate_on_numbers(symbol, left, right)
        return operate_on_lists(symbol, left, right)

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Any:
        value = self.evaluate(node.operand, scope)
        self.at = node
        if isinstance(node.op, ast.Not):
            if isinstance(value, Scalar):
                return Scalar(torch.logical_not(value.condition()), value.integers)
            return not self.truth(value)
        if isinstance(value, Scalar) and not isinstance(node.op, ast.Invert):
            return Scalar(-value.numeric(), value.integers) if isinstance(node.op, ast.USub) else value
        if not isinstance(value, (Tensor, *NUMBERS)):
            raise refuse(RefusalCode.WRONG_ARGUMENT, "This operator takes a number or a tensor.")
        self._count()
        return UNARY[type(node.op)](value)

    def _boolean(self, node: ast.BoolOp, scope: Scope) -> Any:
        is_and = isinstance(node.op, ast.And)
        value = self.evaluate(node.values[0], scope)
        for each in node.values[1:]:
            if isinstance(value, Scalar):
                other = self.evaluate(each, scope)
                pair = (other, value) if is_and else (value, other)
                check_items(*pair)
                value = scalars.choose(value.condition(), *pair)
            elif self.truth(value) is is_and:
                value = self.evaluate(each, scope)
            else:
                return value
        return value

    def _compare(self, node: ast.Compare, scope: Scope) -> Any:
        left: Any = self.evaluate(node.left, scope)
        result: Any = True
        for symbol, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(comparator, scope)
            self.at = node
            one = self._compare_pair(type(symbol), left, right)
            if isinstance(result, Scalar):
                result = scalars.choose(result.condition(), one, result)
            elif self.truth(result):
                result = one
            left = right
        return result

    def _compare_pair(self, symbol: type[ast.cmpop], left: Any, right: Any) -> Any:
        if symbol in (ast.Is, ast.IsNot):
            return (left is right) is (symbol is ast.Is)
        if symbol not in COMPARISONS:
            raise refuse(RefusalCode.FORBIDDEN_SYNTAX, "`in` is no part of the loss language: compare with each value.")
        tensor = left if isinstance(left, Tensor) else right if isinstance(right, Tensor) else None
        if tensor is not None:
            self._count()
            return COMPARISONS[symbol](beside(left, tensor), beside(right, tensor))
        if isinstance(left, Scalar) or isinstance(right, Scalar):
            if not all(isinstance(each, (Scalar, *NUMBERS)) for each in (left, right)):
                raise refuse(RefusalCode.WRONG_ARGUMENT, "A number can be compared with a number only.")
            self._count()
            return scalars.compare(symbol, left, right)
        check_items(left, right)
        return COMPARISONS[symbol](left, right)

    def _conditional(self, node: ast.IfExp, scope: Scope) -> Any:
        test = self.evaluate(node.test, scope)
        if not isinstance(test, Scalar):
            return self.evaluate(node.body if self.truth(test) else node.orelse, scope)
        first = self.evaluate(node.body, enter_arm(node.test, [node.body], test, scope, is_body=True))
        second = self.evaluate(node.orelse, enter_arm(node.test, [node.orelse], test, scope, is_body=False))
        self.at = node
        check_items(first, second)
        try:
            return scalars.choose(test.condition(), first, second)
        except Refused as refused:
            raise (NumberNeeded(test.integers, refused) if test.integers else refused) from None

    def truth(self, value: Any) -> bool:
        if isinstance(value, Tensor):
            raise refuse(RefusalCode.BRANCH_ON_TENSOR, BRANCH)
        if isinstance(value, Scalar):
            need_number(value, RefusalCode.BRANCH_ON_SCALAR, ON_SCALAR)
        if not is_truth(value):
            raise refuse(RefusalCode.WRONG_ARGUMENT, "This is no condition: compare numbers.")
        return bool(value)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        found = find_attribute(node)
        if found is not None:
            return found
        value = self.evaluate(node.value, scope)
        self.at = node
        return look_into(value, node.attr)

    def _tuple(self, node: ast.Tuple, scope: Scope) -> Any:
        return tuple(self.evaluate(each, scope) for each in node.elts)

    def _list(self, node: ast.List, scope: Scope) -> Any:
        return [self.evaluate(each, scope) for each in node.elts]

    def _slice(self, node: ast.Slice, scope: Scope) -> Any:
        parts = (None if each is None else self.evaluate(each, scope) for each in (node.lower, node.upper, node.step))
        return slice(*(position(each) for each in parts))

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        value, index = self.evaluate(node.value, scope), self.evaluate(node.slice, scope)
        self.at = node
        if isinstance(value, tuple | list):
            return value[position(index)]
        if not isinstance(value, Tensor):
            raise refuse(RefusalCode.WRONG_ARGUMENT, "Only tensors, lists and tuples have parts.")
        self._check_index(index)
        self._count()
        return part(value, index)

    def _check_index(self, *values: Any) -> None:
        if self.annotator is not None and any(each is self.annotator for each in values):
            raise refuse(RefusalCode.WRONG_ARGUMENT, AS_INDEX)

    def _call(self, node: ast.Call, scope: Scope) -> Any:
        function = self.evaluate(node.func, scope)
        arguments = [self.evaluate(each, scope) for each in node.args]
        keywords = {each.arg or "": self.evaluate(each.value, scope) for each in node.keywords}
        self.at = node
        if not isinstance(function, Function):
            self._count()
        match function:
            case Function():
                return self.call_function(function, arguments, keywords)
            case Operation():
                check_items(*arguments, *keywords.values())
                if function.name in _TAKING:
                    self._check_index(*arguments, *keywords.values())
                return call_operation(function, arguments, keywords)
            case Mathematics() if not keywords:
                return call_math(function, arguments)
            case Builtin("sum"):
                return self._sum(*arguments, **keywords)
            case Builtin():
                return call_builtin(function.name, arguments, keywords)
            case Append() if len(arguments) == 1 and not keywords:
                return self._append(function.items, arguments[0])
        raise refuse(RefusalCode.WRONG_ARGUMENT, "This cannot be called so.")

    def _sum(self, values: Any, start: Any = 0) -> Any:
        for each in items(values):
            start = self.operate(ast.Add, start, each)
        return start

    def _append(self, into: list[Any], value: Any) -> None:
        if self.arms_deep:
            raise refuse(RefusalCode.BRANCH_ON_SCALAR, f"A list cannot grow in one arm of an if. {ON_SCALAR}")
        if len(into) == MAX_ITEMS:
            raise refuse(RefusalCode.TOO_MANY_STEPS, f"A list may have {MAX_ITEMS} items: compute on tensors.")
        into.append(value)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp, scope: Scope) -> Any:
        results: list[Any] = []

        def go_through(depth: int, inner: Scope) -> None:
            if depth == len(node.generators):
                results.append(self.evaluate(node.elt, inner))
                return
            generator = node.generators[depth]
            for value in items(self.evaluate(generator.iter, inner)):
                turn = Scope({}, inner)
                self.bind(generator.target, value, turn)
                if all(self.truth(self.evaluate(test, turn)) for test in generator.ifs):
                    go_through(depth + 1, turn)

        go_through(0, scope)
        return results

    def function(self, node: ast.FunctionDef | ast.Lambda, scope: Scope) -> Function:
        defaults = tuple(self.evaluate(each, scope) for each in node.args.defaults)
        keyword_defaults = tuple(
            UNASSIGNED if each is None else self.evaluate(each, scope) for each in node.args.kw_defaults
        )
        return Function(node, scope, defaults, keyword_defaults)

    def call_function(self, function: Function, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        if self._calls_deep == MAX_CALLS_DEEP:
            raise refuse(RefusalCode.RECURSION, "Functions call each other too deeply: write the steps out.")
        scope = Scope(bind_arguments(function, arguments, keywords), function.scope)
        self._calls_deep += 1
        if isinstance(function.node, ast.Lambda):
            result = self.evaluate(function.node.body, scope)
        else:
            result = self.run_body(function.node.body, scope)
        self._calls_deep -= 1
        return result

    def bind(self, target: ast.expr, value: Any, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope.assign(target.id, value)
            return
        if not isinstance(target, ast.Tuple | ast.List):
            raise refuse(RefusalCode.IN_PLACE, "Assign to plain names only: use torch.where instead of x[mask] = y.")
        values = items(value)
        if len(values) != len(target.elts):
            raise refuse(RefusalCode.WRONG_ARGUMENT, f"{len(values)} values cannot go to {len(target.elts)} names.")
        for each, one in zip(target.elts, values, strict=True):
            self.bind(each, one, scope)


_EXPRESSIONS: Mapping[type[ast.expr], Callable[..., Any]] = {
    ast.Attribute: Expressions._attribute,
    ast.BinOp: Expressions._binary,
    ast.BoolOp: Expressions._boolean,
    ast.Call: Expressions._call,
    ast.Compare: Expressions._compare,
    ast.Constant: Expressions._constant,
    ast.GeneratorExp: Expressions._comprehension,
    ast.IfExp: Expressions._conditional,
    ast.Lambda: Expressions.function,
    ast.List: Expressions._list,
    ast.ListComp: Expressions._comprehension,
    ast.Name: Expressions._name,
    ast.Slice: Expressions._slice,
    ast.Subscript: Expressions._subscript,
    ast.Tuple: Expressions._tuple,
    ast.UnaryOp: Expressions._unary,
}
