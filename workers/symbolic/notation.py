"""How new parts of an expression are written: with the operations that the compiler would record of the same source."""

from discovery_service.losses.arguments import DType
from workers.symbolic.expression import Apply, Leaf, Tree

Value = Tree | int | float


def read_input(name: str) -> Leaf:
    return Leaf(name)


def round_number(value: float, digits: int = 1) -> float:
    return float(f"{value:.{digits}g}")


def unary(packet: str, tree: Tree) -> Apply:
    return Apply(f"aten.{packet}.default", {"self": tree})


def negate(tree: Tree) -> Tree:
    if isinstance(tree, Apply) and tree.packet == "neg":
        inner = tree.arguments["self"]
        assert isinstance(inner, Leaf | Apply)
        return inner
    return unary("neg", tree)


def add(left: Tree, right: Value) -> Tree:
    return Apply("aten.add.Tensor", {"self": left, "other": right})


def subtract(left: Value, right: Value) -> Tree:
    if isinstance(left, int | float):
        return Apply("aten.rsub.Scalar", {"self": right, "other": left})
    return Apply("aten.sub.Tensor", {"self": left, "other": right})


def multiply(left: Tree, right: Value) -> Tree:
    return Apply("aten.mul.Tensor", {"self": left, "other": right})


def divide(left: Tree, right: Value) -> Tree:
    return Apply("aten.div.Tensor", {"self": left, "other": right})


def scale(tree: Tree, factor: float) -> Tree:
    if abs(factor) == 1:
        return tree if factor == 1 else negate(tree)
    return multiply(tree, factor)


def square(tree: Tree) -> Tree:
    return Apply("aten.pow.Tensor_Scalar", {"self": tree, "exponent": 2})


def clamp(tree: Tree, **bounds: float) -> Tree:
    return Apply("aten.clamp.default", {"self": tree, **bounds})


def compare(packet: str, tree: Tree, other: Value) -> Tree:
    overload = "Scalar" if isinstance(other, int | float) else "Tensor"
    return Apply(f"aten.{packet}.{overload}", {"self": tree, "other": other})


def choose(condition: Tree, where: Tree, elsewhere: Value) -> Tree:
    overload = "ScalarOther" if isinstance(elsewhere, int | float) else "self"
    return Apply(f"aten.where.{overload}", {"condition": condition, "self": where, "other": elsewhere})


def convert(condition: Tree) -> Tree:
    """1 where it holds, 0 elsewhere."""
    return Apply("aten.to.dtype", {"self": condition, "dtype": DType("float32")})


def sum_last(tree: Tree) -> Tree:
    return Apply("aten.sum.dim_IntList", {"self": tree, "dim": (-1,)})


def mean_of_group(tree: Tree, group: Tree) -> Tree:
    """Of each row's own group."""
    rows = Apply("aten.unsqueeze.default", {"self": group, "dim": 1})
    columns = Apply("aten.unsqueeze.default", {"self": group, "dim": 0})
    same = convert(compare("eq", rows, columns))
    return divide(Apply("aten.matmul.default", {"self": same, "other": tree}), sum_last(same))
