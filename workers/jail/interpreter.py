"""Runs a checked source's syntax tree without ever executing its bytecode: its statements, on top of its expressions.

Covered: functions and lambdas, loops over Python ranges, comprehensions, `torch.no_grad()`, an `if` on numbers that
training sets. Not covered: what the static check refuses; it is refused here as well, with fewer words.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from discovery_service.losses.refusals import RefusalCode, Refused, refuse
from workers.jail import scalars
from workers.jail.arms import enter_arm
from workers.jail.calls import items
from workers.jail.expressions import ON_SCALAR, Expressions
from workers.jail.plain import check_items
from workers.jail.values import UNASSIGNED, Function, NumberNeeded, Scalar, Scope


class _Returned:
    def __init__(self, value: Any) -> None:
        self.value = value


Outcome: TypeAlias = _Returned | None


class Interpreter(Expressions):
    def __init__(self, tree: ast.Module) -> None:
        super().__init__()
        self._module = Scope()
        self._run(tree.body, self._module)

    def call(self, name: str, values: Mapping[str, Any]) -> Any:
        function = self._module.names.get(name)
        if not isinstance(function, Function):
            raise refuse(RefusalCode.NO_ENTRY, f"There is no function {name}.")
        self.annotator = values.get("annotator")
        return self.call_function(function, [], dict(values))

    def run_body(self, body: list[ast.stmt], scope: Scope) -> Any:
        outcome = self._run(body, scope)
        return outcome.value if isinstance(outcome, _Returned) else None

    def _run(self, statements: list[ast.stmt], scope: Scope) -> Outcome:
        for statement in statements:
            self.step(statement)
            run = _STATEMENTS.get(type(statement))
            if run is None:
                raise refuse(
                    RefusalCode.FORBIDDEN_SYNTAX, f"{type(statement).__name__} is no part of the loss language."
                )
            outcome = run(self, statement, scope)
            if outcome is not None:
                return outcome
        return None

    def _pass(self, node: ast.stmt, scope: Scope) -> Outcome:
        del node, scope
        return None

    def _expression_statement(self, node: ast.Expr, scope: Scope) -> Outcome:
        if not isinstance(node.value, ast.Constant):
            self.evaluate(node.value, scope)
        return None

    def _define(self, node: ast.FunctionDef, scope: Scope) -> Outcome:
        scope.assign(node.name, self.function(node, scope))
        return None

    def _return(self, node: ast.Return, scope: Scope) -> Outcome:
        return _Returned(None if node.value is None else self.evaluate(node.value, scope))

    def _assign(self, node: ast.Assign, scope: Scope) -> Outcome:
        value = self.evaluate(node.value, scope)
        for target in node.targets:
            self.bind(target, value, scope)
        return None

    def _for(self, node: ast.For, scope: Scope) -> Outcome:
        for value in items(self.evaluate(node.iter, scope)):
            self.bind(node.target, value, scope)
            outcome = self._run(node.body, scope)
            if outcome is not None:
                return outcome
        return None

    def _with(self, node: ast.With, scope: Scope) -> Outcome:
        if [ast.unparse(each) for each in node.items] != ["torch.no_grad()"]:
            raise refuse(RefusalCode.FORBIDDEN_SYNTAX, "`with` is there for torch.no_grad() alone.")
        with torch.no_grad():
            return self._run(node.body, scope)

    def _if(self, node: ast.If, scope: Scope) -> Outcome:
        test = self.evaluate(node.test, scope)
        if not isinstance(test, Scalar):
            return self._run(node.body if self.truth(test) else node.orelse, scope)
        try:
            return self._run_both(node, test, scope)
        except Refused as refused:
            if test.integers and refused.refusals[0].code is RefusalCode.BRANCH_ON_SCALAR:
                raise NumberNeeded(test.integers, refused) from None
            raise

    def _run_both(self, node: ast.If, test: Scalar, scope: Scope) -> Outcome:
        """Both arms, each on its own copy of the names; then every name, or the result, is chosen by the condition."""
        first = enter_arm(node.test, node.body, test, scope, is_body=True)
        second = enter_arm(node.test, node.orelse, test, scope, is_body=False)
        self.arms_deep += 1
        one, other = self._run(node.body, first), self._run(node.orelse, second)
        self.arms_deep -= 1
        self.at = node.test
        if isinstance(one, _Returned) and isinstance(other, _Returned):
            check_items(one.value, other.value)
            return _Returned(scalars.choose(test.condition(), one.value, other.value))
        if one is not None or other is not None or not (first.assigned and second.assigned):
            raise refuse(RefusalCode.BRANCH_ON_SCALAR, ON_SCALAR)
        for name in sorted(first.assigned | second.assigned):
            pair = first.names.get(name, UNASSIGNED), second.names.get(name, UNASSIGNED)
            check_items(*pair)
            is_lacking = any(each is UNASSIGNED for each in pair)
            scope.assign(name, UNASSIGNED if is_lacking else scalars.choose(test.condition(), *pair))
        return None


_STATEMENTS: Mapping[type[ast.stmt], Callable[..., Outcome]] = {
    ast.Assign: Interpreter._assign,
    ast.Expr: Interpreter._expression_statement,
    ast.For: Interpreter._for,
    ast.FunctionDef: Interpreter._define,
    ast.If: Interpreter._if,
    ast.Pass: Interpreter._pass,
    ast.Return: Interpreter._return,
    ast.With: Interpreter._with,
}
