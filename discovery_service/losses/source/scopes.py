"""What each name of a source stands for: a value, or a function, which may be called and nothing else.

Functions are no values in this language and none of them calls itself, so that every program comes to an end.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from discovery_service.domain.families import Family
from discovery_service.losses.families import find_input
from discovery_service.losses.refusals import Refusal, RefusalCode
from discovery_service.losses.source.grammar import EXPLANATIONS
from discovery_service.losses.source.imports import path_of
from discovery_service.losses.source.parsing import MAX_NAME
from discovery_service.losses.source.words import is_dunder, judge_unknown_name
from discovery_service.losses.vocabulary import BUILTINS, LIBRARIES

Function = ast.FunctionDef | ast.Lambda
Binding = Function | None
"""A function, or None for a value."""
Scope = Mapping[str, Binding]


def find_scope_violations(tree: ast.Module, family: Family, refused: Set[str]) -> list[Refusal]:
    """`refused` are names that something was said about already."""
    scopes = _Scopes(family, refused)
    module = scopes.bind(
        (each for each in tree.body if isinstance(each, ast.FunctionDef | ast.Assign | ast.AnnAssign)), []
    )
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    scopes.read(functions, [module], caller=None)
    scopes.check_recursion()
    return scopes.found


def bound_names(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, Binding, ast.AST]]:
    """What is bound in this scope itself, not in the functions and comprehensions within it."""
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name):
                yield name, node, node
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda() as function):
                yield name, function, node
            case ast.Name(id=name, ctx=ast.Store()):
                yield name, None, node
            case ast.Lambda() | ast.ListComp() | ast.GeneratorExp():
                continue
            case _:
                yield from bound_names(ast.iter_child_nodes(node))


def bound_anywhere(tree: ast.Module) -> Set[str]:
    """Every name that some part of the source binds."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                bound.add(name)
    return bound


@dataclass
class _Scopes:
    family: Family
    refused: Set[str]
    found: list[Refusal] = field(default_factory=list)
    calls: dict[Function, set[Function]] = field(default_factory=lambda: defaultdict(set))
    names: dict[Function, str] = field(default_factory=dict)

    def refuse(self, code: RefusalCode, message: str, node: ast.AST) -> None:
        self.found.append(Refusal(code, message, getattr(node, "lineno", None)))

    def bind(self, nodes: Iterable[ast.AST], parameters: Iterable[ast.arg]) -> Scope:
        scope: dict[str, Binding] = {}
        for parameter in parameters:
            self._check_name(parameter.arg, parameter)
            scope[parameter.arg] = None
        for name, binding, node in bound_names(nodes):
            self._check_name(name, node)
            if name in scope and (binding is not None or scope[name] is not None):
                self.refuse(
                    RefusalCode.FORBIDDEN_NAME,
                    f"`{name}` is bound more than once and one of these is a function: use different names.",
                    node,
                )
            scope[name] = binding
            if binding is not None:
                self.names[binding] = name
        return scope

    def _check_name(self, name: str, node: ast.AST) -> None:
        if name in self.refused:
            return
        if name == "self":
            self._refuse_unknown(name, node)
        elif name in BUILTINS | LIBRARIES:
            self.refuse(RefusalCode.FORBIDDEN_NAME, f"`{name}` has a fixed meaning here: use another name.", node)
        elif is_dunder(name) or len(name) > MAX_NAME:
            self.refuse(
                RefusalCode.FORBIDDEN_NAME,
                f"The name `{name[:MAX_NAME]}` is not available: use a short one without double underscores.",
                node,
            )

    def read(self, nodes: Iterable[ast.AST], stack: list[Scope], caller: Function | None) -> None:
        for node in nodes:
            match node:
                case ast.FunctionDef(args=arguments, body=body):
                    self._read_function(node, arguments, body, stack)
                case ast.Lambda(args=arguments, body=value):
                    self._read_function(node, arguments, [value], stack)
                case ast.ListComp() | ast.GeneratorExp():
                    targets = [generator.target for generator in node.generators]
                    self.read(ast.iter_child_nodes(node), [*stack, self.bind(targets, [])], caller)
                case ast.Call(func=ast.Name(id=name)):
                    self._read_call(name, node, stack, caller)
                    self.read([*node.args, *node.keywords], stack, caller)
                case ast.Name(id=name, ctx=ast.Load()):
                    self._read_name(name, node, stack)
                case ast.Assert() | ast.If(body=[ast.Raise()]):
                    continue
                case _ if type(node) in EXPLANATIONS:
                    continue
                case ast.Attribute() if path_of(node)[:1] and path_of(node)[0] in LIBRARIES:
                    continue
                case _:
                    self.read(_without_annotations(node), stack, caller)

    def _read_function(
        self, function: Function, arguments: ast.arguments, body: Iterable[ast.AST], stack: list[Scope]
    ) -> None:
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        scope = self.bind(body, parameters)
        self.read(body, [*stack, scope], function)

    def _read_call(self, name: str, node: ast.AST, stack: list[Scope], caller: Function | None) -> None:
        scope = next((scope for scope in reversed(stack) if name in scope), None)
        if scope is None:
            if name not in BUILTINS:
                self._refuse_unknown(name, node)
        elif (function := scope[name]) is None:
            self.refuse(
                RefusalCode.FORBIDDEN_SYNTAX,
                f"`{name}` holds a value and cannot be called: call a function by the name of its def.",
                node,
            )
        elif caller is not None:
            self.calls[caller].add(function)

    def _read_name(self, name: str, node: ast.AST, stack: list[Scope]) -> None:
        scope = next((scope for scope in reversed(stack) if name in scope), None)
        if scope is None:
            if name in BUILTINS | LIBRARIES:
                self.refuse(RefusalCode.FORBIDDEN_SYNTAX, f"`{name}` is no value here: call what you need of it.", node)
            else:
                self._refuse_unknown(name, node)
        elif scope[name] is not None:
            self.refuse(
                RefusalCode.FORBIDDEN_SYNTAX,
                f"`{name}` is a function and cannot be passed on or stored: call it where its result is needed.",
                node,
            )

    def _refuse_unknown(self, name: str, node: ast.AST) -> None:
        if name in self.refused:
            return
        if find_input(self.family, name):
            code = RefusalCode.WRONG_SIGNATURE
            message = f"`{name}` is an input of the loss: add it to the parameters of the function that uses it."
        elif name == "self":
            code = RefusalCode.FORBIDDEN_NAME
            message = "`self` serves only to read numbers as in self.beta: pass what is needed as a parameter."
        else:
            code, message = judge_unknown_name(name)
        self.refuse(code, message, node)

    def check_recursion(self) -> None:
        finished: set[Function] = set()
        for start in self.calls:
            if start not in finished and (again := _find_cycle(start, self.calls, finished)):
                self.refuse(
                    RefusalCode.RECURSION,
                    f"`{self.names.get(again, 'lambda')}` calls itself, directly or through others:"
                    " write the steps out or loop over a small range.",
                    again,
                )


def _without_annotations(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.AnnAssign):
        return (each for each in (node.target, node.value) if each is not None)
    return ast.iter_child_nodes(node)


def _find_cycle(start: Function, calls: Mapping[Function, set[Function]], finished: set[Function]) -> Function | None:
    """A function that is reached again while it is still being followed."""
    path: list[tuple[Function, Iterator[Function]]] = [(start, iter(calls.get(start, ())))]
    while path:
        function, callees = path[-1]
        callee = next(callees, None)
        if callee is None:
            finished.add(function)
            path.pop()
        elif any(callee is followed for followed, _ in path):
            return callee
        elif callee not in finished:
            path.append((callee, iter(calls.get(callee, ()))))
    return None
