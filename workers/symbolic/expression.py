"""A loss as an expression that is changed by putting one part of it in another's place; a part may be used twice.

Parts are the same only where they are one object. Graphs are read into expressions and written from them; what is
computed twice is written once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from discovery_service.domain.families import Family
from discovery_service.losses.arguments import Argument, Ref
from discovery_service.losses.families import INPUTS
from discovery_service.losses.graph import Constant, Graph, Hyperparameter
from discovery_service.losses.nodes import Node
from discovery_service.losses.operators import OPERATORS

_TORCH = "2.13.0"
"""A graph names what compiled it. These are printed, and compiled by the gate."""


@dataclass(frozen=True, eq=False)
class Leaf:
    content: str | Hyperparameter | Constant
    """An input by its name."""


@dataclass(frozen=True, eq=False)
class Apply:
    operation: str
    arguments: Mapping[str, "Operand"]
    is_without_gradient: bool = False

    @property
    def packet(self) -> str:
        operator = OPERATORS.get(self.operation)
        return self.operation if operator is None else operator.packet


@dataclass(frozen=True)
class Part:
    """One of several results."""

    whole: Apply
    output: int


Tree = Leaf | Apply | Part
Operand = Leaf | Apply | Part | tuple["Operand", ...] | Argument


def read_tree(graph: Graph) -> Tree:
    values: list[Leaf | Apply] = [Leaf(each) for each in graph.leaves]

    def read(argument: Argument) -> Operand:
        if isinstance(argument, Ref):
            return _pick(values[argument.value], argument.output)
        return tuple(map(read, argument)) if isinstance(argument, tuple) else argument

    for node in graph.nodes:
        arguments = {name: read(each) for name, each in node.arguments.items()}
        values.append(Apply(node.operation, arguments, node.is_without_gradient))
    return _pick(values[graph.out.value], graph.out.output)


def _pick(value: Leaf | Apply, output: int | None) -> Tree:
    return Part(value, output) if output is not None and isinstance(value, Apply) else value


def list_operands(tree: Tree) -> Iterator[Tree]:
    match tree:
        case Part():
            yield tree.whole
        case Apply():
            for each in tree.arguments.values():
                yield from _find_trees(each)


def _find_trees(operand: Operand) -> Iterator[Tree]:
    if isinstance(operand, Leaf | Apply | Part):
        yield operand
    elif isinstance(operand, tuple):
        for each in operand:
            yield from _find_trees(each)


def list_trees(root: Tree) -> list[Tree]:
    """All parts, each once and after those that it is made of."""
    found: dict[Tree, None] = {}

    def visit(tree: Tree) -> None:
        if tree not in found:
            for each in list_operands(tree):
                visit(each)
            found[tree] = None

    visit(root)
    return list(found)


def exchange(root: Tree, swaps: Mapping[Tree, Tree]) -> Tree:
    """With each of those parts replaced wherever it is used; what comes in is not searched for them again."""
    made: dict[Tree, Tree] = dict(swaps)

    def rebuild(operand: Operand) -> Operand:
        if isinstance(operand, Leaf | Apply | Part):
            return made[operand]
        return tuple(map(rebuild, operand)) if isinstance(operand, tuple) else operand

    for tree in list_trees(root):
        if tree in made:
            continue
        if isinstance(tree, Leaf) or all(made[each] is each for each in list_operands(tree)):
            made[tree] = tree
        elif isinstance(tree, Part):
            whole = made[tree.whole]
            made[tree] = Part(whole, tree.output) if isinstance(whole, Apply) else whole
        else:
            made[tree] = _apply_again(tree, {name: rebuild(each) for name, each in tree.arguments.items()})
    return made[root]


def _apply_again(tree: Apply, arguments: Mapping[str, Operand]) -> Tree:
    inner = arguments.get("self")
    if tree.packet == "neg" and isinstance(inner, Apply) and inner.packet == "neg":
        twice = inner.arguments["self"]
        assert isinstance(twice, Leaf | Apply | Part)
        return twice
    return replace(tree, arguments=arguments)


def write_graph(root: Tree, family: Family) -> Graph:
    return _Writer(root, family).write()


class _Writer:
    def __init__(self, root: Tree, family: Family) -> None:
        self._root = root
        self._family = family
        self._trees = list_trees(root)
        self._places: dict[Tree, int] = {}
        self._hyperparameters: list[Hyperparameter] = []
        self._nodes: list[Node] = []

    def write(self) -> Graph:
        contents = [each.content for each in self._trees if isinstance(each, Leaf)]
        used = {each for each in contents if isinstance(each, str)}
        inputs = tuple(each.name for each in INPUTS[self._family] if each.name in used)
        constants = tuple(dict.fromkeys(each for each in contents if isinstance(each, Constant)))
        owned = self._name_hyperparameters([each for each in contents if isinstance(each, Hyperparameter)])
        first_constant = len(inputs) + len(self._hyperparameters)
        for tree in self._trees:
            match tree:
                case Leaf(str() as name):
                    self._places[tree] = inputs.index(name)
                case Leaf(Hyperparameter() as own):
                    self._places[tree] = len(inputs) + owned[own]
                case Leaf(Constant() as constant):
                    self._places[tree] = first_constant + constants.index(constant)
        self._write_nodes(first_constant + len(constants))
        out = self._refer(self._root)
        return Graph(self._family, _TORCH, inputs, tuple(self._hyperparameters), constants, tuple(self._nodes), out)

    def _name_hyperparameters(self, contents: list[Hyperparameter]) -> dict[Hyperparameter, int]:
        """The place of each; two of one name and different values cannot both keep it."""
        owned: dict[Hyperparameter, int] = {}
        for each in dict.fromkeys(contents):
            name, number = each.name, 1
            while name in {other.name for other in self._hyperparameters}:
                number += 1
                name = f"{each.name}_{number}"
            owned[each] = len(self._hyperparameters)
            self._hyperparameters.append(replace(each, name=name))
        return owned

    def _write_nodes(self, first: int) -> None:
        known: dict[object, int] = {}
        for tree in self._trees:
            if not isinstance(tree, Apply):
                continue
            arguments = {name: self._write(each) for name, each in tree.arguments.items()}
            # 1, 1.0 and True are equal to a dictionary and not to torch.
            key = (tree.operation, tree.is_without_gradient, repr(sorted(arguments.items())))
            if key not in known:
                known[key] = first + len(self._nodes)
                self._nodes.append(Node(tree.operation, arguments, tree.is_without_gradient))
            self._places[tree] = known[key]

    def _write(self, operand: Operand) -> Argument:
        if isinstance(operand, Leaf | Apply | Part):
            return self._refer(operand)
        return tuple(map(self._write, operand)) if isinstance(operand, tuple) else operand

    def _refer(self, tree: Tree) -> Ref:
        return Ref(self._places[tree.whole], tree.output) if isinstance(tree, Part) else Ref(self._places[tree])
