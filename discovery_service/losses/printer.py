"""Shows a graph as PyTorch source that a person can read, and that computes the same when it is run.

Needs `torch`, `math` and `torch.nn.functional as F` in scope, as the source of a candidate does.
"""

import ast
import textwrap
from dataclasses import replace

from discovery_service.losses.arguments import Argument, DType, InputDevice, Ref
from discovery_service.losses.families import Role, find_input
from discovery_service.losses.graph import Constant, Graph, Hyperparameter
from discovery_service.losses.nodes import Node
from discovery_service.losses.operators import OPERATORS, SIZE_OPERATORS, Kind
from discovery_service.losses.pytorch import read_expression, write_number, write_operation, write_size
from discovery_service.losses.temporaries import find_meaning, suggest_name

_MAX_INLINE = 48
"""A longer expression gets a line and a name of its own."""
_MAX_LINE = 110
_MAX_EXPRESSION = 88
_ARITHMETIC = {"add", "sub", "rsub", "mul", "div", "neg", "pow", "reciprocal"}
"""What a plain float takes part in just as a 0-dimensional tensor would."""


_BROADCASTING = {f"aten.{name}.default" for name in ("huber_loss", "l1_loss", "mse_loss", "smooth_l1_loss")}
"""As functions of PyTorch they broadcast what they are given themselves."""


def print_graph(graph: Graph, *, name: str = "loss", said: str | None = None) -> str:
    """As a function of that name, with what is said of it for a docstring."""
    return _Printer(_leave_out_broadcasts(graph), name, said).print()


def _leave_out_broadcasts(graph: Graph) -> Graph:
    first = len(graph.leaves)

    def look_through(argument: Argument) -> Argument:
        if isinstance(argument, Ref) and argument.output is not None:
            node = graph.nodes[argument.value - first]
            tensors = node.arguments.get("tensors")
            if node.operation == "aten.broadcast_tensors.default" and isinstance(tensors, tuple):
                return tensors[argument.output]
        return argument

    nodes = (
        replace(node, arguments={name: look_through(each) for name, each in node.arguments.items()})
        if node.operation in _BROADCASTING
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))


class _Printer:
    def __init__(self, graph: Graph, name: str, said: str | None) -> None:
        self._graph = graph
        self._function = name
        self._said = said
        self._first = len(graph.leaves)
        self._live = graph.live_values()
        self._users: dict[int, list[int]] = {value: [] for value in self._live}
        for value in self._live:
            for ref in self._refs(value):
                self._users[ref.value].append(value)
        self._expressions: dict[int, ast.expr] = {}
        self._named: dict[int, str] = {}
        self._taken = {"torch", "F", "math"}
        self._lines: list[str] = []
        self._is_without_gradient = False

    def print(self) -> str:
        for value, leaf in enumerate(self._graph.leaves):
            if not isinstance(leaf, Constant):
                self._name(value, leaf.name if isinstance(leaf, Hyperparameter) else leaf)
        self._taken.add(self._function)
        for value in self._find_tensors_of_floats():
            call = f"torch.tensor({self._named[value]}, dtype=torch.float64, device={self._graph.inputs[0]}.device)"
            self._write(f"{self._named[value]} = {call}")
        for value in self._live:
            if value >= self._first:
                self._add_node(value)
            elif isinstance(leaf := self._graph.leaves[value], Constant):
                self._assign(value, "constant", self._write_constant(leaf))
        self._write(f"return {ast.unparse(self._write_argument(self._graph.out))}")
        return "\n".join([self._write_head(), *self._write_docstring(), *self._lines]) + "\n"

    def _refs(self, value: int) -> list[Ref]:
        return list(self._node(value).refs()) if value >= self._first else []

    def _node(self, value: int) -> Node:
        return self._graph.nodes[value - self._first]

    # The frame

    def _write_head(self) -> str:
        parameters = list(self._graph.inputs)
        if free := self._graph.free_hyperparameters:
            parameters += ["*", *(f"{each.name}={each.value!r}" for each in free)]
        line = f"def {self._function}({', '.join(parameters)}):"
        if len(line) <= _MAX_LINE:
            return line
        return "\n".join([f"def {self._function}(", *(f"    {each}," for each in parameters), "):"])

    def _write_docstring(self) -> list[str]:
        lines = textwrap.wrap(self._describe(), _MAX_LINE - 7, break_long_words=False)
        if len(lines) == 1:
            return [f'    """{lines[0]}"""']
        return [f'    """{lines[0]}', *(f"    {each}" for each in lines[1:]), '    """']

    def _describe(self) -> str:
        said = self._said or f"A loss of the family {self._graph.family}, as its graph computes it."
        compiled = [f"{each.name} = {each.value!r}" for each in self._graph.hyperparameters if each.is_structural]
        return f"{said} Compiled in: {', '.join(compiled)}." if compiled else said

    def _find_tensors_of_floats(self) -> list[int]:
        """The numbers among the inputs that something takes only as tensors, though a caller may give floats."""
        scalars = {value for value in self._live if value < self._first and self._is_setting(value)}
        for value in self._live:
            if (refs := self._refs(value)) and all(ref.value in scalars for ref in refs):
                scalars.add(value)
        wanted: set[int] = set()
        for value in reversed(self._live):
            if value in scalars and any(user in wanted or not self._takes_floats(user) for user in self._users[value]):
                wanted.add(value)
        return sorted(value for value in wanted if value < self._first)

    def _takes_floats(self, value: int) -> bool:
        operator = OPERATORS.get(self._node(value).operation)
        return operator is not None and operator.packet in _ARITHMETIC

    def _is_setting(self, value: int) -> bool:
        leaf = self._graph.leaves[value]
        if isinstance(leaf, str):
            declared = find_input(self._graph.family, leaf)
            return declared is not None and declared.role is Role.SETTING
        return isinstance(leaf, Hyperparameter)

    # Statements

    def _write(self, line: str, *, is_without_gradient: bool = False) -> None:
        if is_without_gradient and not self._is_without_gradient:
            self._lines.append("    with torch.no_grad():")
        self._is_without_gradient = is_without_gradient
        self._lines.append(("        " if is_without_gradient else "    ") + line)

    def _name(self, value: int, suggested: str) -> str:
        name, number = suggested, 1
        while name in self._taken:
            number += 1
            name = f"{suggested}_{number}"
        self._taken.add(name)
        self._named[value] = name
        self._expressions[value] = ast.Name(name)
        return name

    def _assign(self, value: int, suggested: str, expression: ast.expr, *, is_without_gradient: bool = False) -> None:
        text = ast.unparse(expression)
        self._write(f"{self._name(value, suggested)} = {text}", is_without_gradient=is_without_gradient)

    def _add_node(self, value: int) -> None:
        expression = self._write_node(self._node(value))
        while len(ast.unparse(expression)) > _MAX_EXPRESSION and (longest := self._find_longest_inline(value)):
            self._assign_node(longest, self._expressions[longest])
            expression = self._write_node(self._node(value))
        if self._is_inline(value, expression) and not find_meaning(*self._origin(value)):
            self._expressions[value] = expression
        else:
            self._assign_node(value, expression)

    def _assign_node(self, value: int, expression: ast.expr) -> None:
        name = suggest_name(*self._origin(value))
        self._assign(value, name, expression, is_without_gradient=self._node(value).is_without_gradient)

    def _origin(self, value: int) -> tuple[str, list[str]]:
        """What a name is made of: the operation, and what it is given that has a name."""
        operation = self._node(value).operation
        packet = operation if operation in SIZE_OPERATORS else OPERATORS[operation].packet
        return packet, [self._named[ref.value] for ref in self._refs(value) if ref.value in self._named]

    def _find_longest_inline(self, value: int) -> int | None:
        """The operand without a name that takes up most of the line."""
        inline = {ref.value for ref in self._refs(value)} - self._named.keys()
        return max(inline, key=lambda operand: len(ast.unparse(self._expressions[operand])), default=None)

    def _is_inline(self, value: int, expression: ast.expr) -> bool:
        """Whether its only user can hold it: under the same no_grad, on the same line."""
        users, node = self._users[value], self._node(value)
        if value == self._graph.out.value:
            return not users and not node.is_without_gradient and self._graph.out.output is None
        if len(users) != 1 or self._node(users[0]).is_without_gradient != node.is_without_gradient:
            return False
        return isinstance(expression, ast.Name) or len(ast.unparse(expression)) <= _MAX_INLINE

    # Expressions

    def _write_node(self, node: Node) -> ast.expr:
        arguments = {name: self._write_argument(argument) for name, argument in node.arguments.items()}
        if self._is_quotient(node):
            return arguments["self"]
        if node.operation in SIZE_OPERATORS:
            return write_size(node.operation, arguments)
        operator = OPERATORS[node.operation]
        if operator.is_factory:
            arguments["device"] = self._write_device()
        tensors = {each.name for each in operator.parameters if each.kind is Kind.TENSOR}
        has_numbers = any(self._is_number(node.arguments[name]) for name in tensors & node.arguments.keys())
        return write_operation(operator, arguments, has_numbers=has_numbers)

    def _is_quotient(self, node: Node) -> bool:
        """1 / x as torch records it: the reciprocal of x, times 1."""
        of = node.arguments.get("self")
        if node.operation != "aten.mul.Tensor" or node.arguments["other"] != 1 or not isinstance(of, Ref):
            return False
        return of.value >= self._first and self._node(of.value).operation == "aten.reciprocal.default"

    def _is_number(self, argument: Argument) -> bool:
        if isinstance(argument, Ref):
            return argument.value >= self._first and self._node(argument.value).operation in SIZE_OPERATORS
        return True

    def _write_argument(self, argument: Argument) -> ast.expr:
        match argument:
            case Ref(value, None):
                return self._expressions[value]
            case Ref(value, output):
                return ast.Subscript(self._expressions[value], ast.Constant(output), ast.Load())
            case tuple():
                return ast.List([self._write_argument(each) for each in argument], ast.Load())
            case DType(name):
                return read_expression(f"torch.{name}")
            case InputDevice():
                return self._write_device()
            case int() | float():
                return write_number(argument)
        return ast.Constant(argument)

    def _write_device(self) -> ast.expr:
        return ast.Attribute(ast.Name(self._graph.inputs[0]), "device", ast.Load())

    def _write_constant(self, constant: Constant) -> ast.expr:
        shape = constant.shape
        numbers = [write_number(each) for each in constant.data]
        data = ast.List(numbers, ast.Load()) if shape else numbers[0]
        keywords = {"dtype": read_expression(f"torch.{constant.dtype}"), "device": self._write_device()}
        made = ast.Call(read_expression("torch.tensor"), [data], [ast.keyword(*each) for each in keywords.items()])
        if len(shape) < 2:
            return made
        sizes: list[ast.expr] = [ast.Constant(each) for each in shape]
        return ast.Call(ast.Attribute(made, "reshape", ast.Load()), sizes, [])
