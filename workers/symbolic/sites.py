"""Where an expression may be changed: its logits, the terms of its sum, the numbers in it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from discovery_service.domain.families import Family
from discovery_service.losses.graph import Hyperparameter
from workers.symbolic.expression import Apply, Leaf, Tree, exchange, list_operands, list_trees
from workers.symbolic.inference import Inference


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LINKS = _words(
    "log_sigmoid sigmoid softplus relu exp tanh square pow special_log_ndtr special_ndtr elu gelu silu atan"
)


@dataclass(frozen=True)
class Number:
    """A constant, by where it stands."""

    holder: Apply | Leaf
    argument: str | None
    """None of a hyper-parameter."""
    value: float


@dataclass(frozen=True)
class Draft:
    """A loss on its way from its parents to a proposal."""

    family: Family
    root: Tree
    said: tuple[str, ...] = ()
    """What was done to it, each a phrase in the past tense."""
    words: tuple[str, ...] = ()

    @cached_property
    def inference(self) -> Inference:
        return Inference(self.family)

    @cached_property
    def trees(self) -> list[Tree]:
        return list_trees(self.root)

    @property
    def is_by_row(self) -> bool:
        return self.inference.is_moving_row(self.root)

    def change(self, root: Tree, said: str, word: str) -> "Draft":
        return Draft(self.family, root, (*self.said, said), (*self.words, word))

    def swap(self, old: Tree, new: Tree, said: str, word: str) -> "Draft":
        return self.change(exchange(self.root, {old: new}), said, word)

    @property
    def logits(self) -> list[Tree]:
        """What its outermost links are given, without sign, shift, bounds and constant scale: one entry a value."""
        return list(self._scaled_logits)

    @cached_property
    def _scaled_logits(self) -> dict[Tree, list[list[Tree]]]:
        """For each logit and each link that is given it, the products by constants that lie between them."""
        found: dict[Tree, list[list[Tree]]] = {}
        seen: set[Tree] = set()

        def visit(tree: Tree) -> None:
            if tree in seen:
                return
            seen.add(tree)
            if isinstance(tree, Apply) and tree.packet in _LINKS:
                core, products = self._strip(tree.arguments["self"])  # type: ignore[arg-type]
                is_link = isinstance(core, Apply) and core.packet in _LINKS
                if self.inference.is_moving_row(core) and not is_link:
                    found.setdefault(core, []).append(products)
                    return
            for each in list_operands(tree):
                visit(each)

        visit(self.root)
        return found

    @cached_property
    def terms(self) -> list[Tree]:
        """What is added up, as far as each varies by row and moves with the policy."""
        return list(dict.fromkeys(self._find_terms(self.root)))

    def _find_terms(self, tree: Tree) -> Iterator[Tree]:
        if isinstance(tree, Apply) and tree.packet in ("add", "sub"):
            sides = [tree.arguments["self"], tree.arguments["other"]]
            if any(map(self.inference.is_moving_row, sides)):
                for side in sides:
                    if self.inference.is_moving_row(side):
                        yield from self._find_terms(side)  # type: ignore[arg-type]
                return
        if self.inference.is_moving_row(tree):
            yield tree

    @cached_property
    def scales(self) -> set[Tree]:
        """What only scales the whole loss or a whole logit: another beta or learning rate does the same."""
        scales = {each for start in (self.root, *self.logits) for each in self._find_scaled(start)}
        # Where two links are given one logit, their relative scale is a matter of shape.
        return scales.union(*(ways[0] for ways in self._scaled_logits.values() if len(ways) == 1))

    def _find_scaled(self, tree: Tree) -> Iterator[Tree]:
        """The products from there down, until something is added."""
        while isinstance(tree, Apply) and tree.packet in ("neg", "mul", "div"):
            yield tree
            sides = [tree.arguments["self"], tree.arguments.get("other")]
            moving = [each for each in sides if self.inference.is_moving_row(each)]
            if not moving:
                return
            yield from (each for each in sides if isinstance(each, Leaf))
            tree = moving[0]  # type: ignore[assignment]

    def _strip(self, tree: Tree) -> tuple[Tree, list[Tree]]:
        """Without a sign, bounds, and what is added or multiplied that is a number for all rows, but for beta; and
        the products that then are next to it, with their constants."""
        products: list[Tree] = []
        while isinstance(tree, Apply) and tree.packet in ("neg", "add", "sub", "rsub", "mul", "div", "clamp"):
            sides = [tree.arguments["self"], tree.arguments.get("other")]
            moving = [each for each in sides if self.inference.is_moving_row(each)]
            others = [each for each in sides if each is not None and each not in moving]
            if len(moving) != 1 or not all(map(self._is_plain_number, others)):
                break
            if tree.packet in ("add", "sub", "rsub", "clamp"):
                products.clear()
            else:
                products += [tree, *(each for each in others if isinstance(each, Leaf))]
            tree = moving[0]  # type: ignore[assignment]
        return tree, products

    def _is_plain_number(self, operand: object) -> bool:
        if isinstance(operand, Leaf):
            return isinstance(operand.content, Hyperparameter)
        return isinstance(operand, int | float)

    @cached_property
    def numbers(self) -> list[Number]:
        """That may be changed and change more than a scale."""
        return [each for tree in self.trees if tree not in self.scales for each in self._find_numbers(tree)]

    def _find_numbers(self, tree: Tree) -> Iterator[Number]:
        match tree:
            case Leaf(Hyperparameter() as own) if own.value:
                yield Number(tree, None, float(own.value))
            case Apply() if tree.packet in ("mul", "div", "add", "sub"):
                value = tree.arguments.get("other")
                if isinstance(value, float) and abs(value) not in (0.0, 1.0):
                    yield Number(tree, "other", value)
            case Apply() if tree.packet == "clamp":
                for name in ("min", "max"):
                    value = tree.arguments.get(name)
                    if isinstance(value, float) and abs(value) > 0.01:
                        yield Number(tree, name, value)

    def write_number(self, number: Number, value: float) -> Tree:
        holder = number.holder
        if isinstance(holder, Leaf):
            assert isinstance(holder.content, Hyperparameter)
            new: Tree = Leaf(replace(holder.content, value=value))
        else:
            assert number.argument is not None
            new = replace(holder, arguments={**holder.arguments, number.argument: value})
        return exchange(self.root, {holder: new})
