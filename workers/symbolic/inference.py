"""What kind of value each part of an expression is: its shape, and whether the policy moves it."""

from collections.abc import Mapping
from enum import Enum, auto

from discovery_service.domain.families import Family
from discovery_service.losses import families
from discovery_service.losses.families import Role, find_input
from workers.symbolic.expression import Apply, Leaf, Operand, Part, Tree, list_operands


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Shape(Enum):
    NUMBER = auto()
    ROWS = auto()
    TOKENS = auto()
    PAIRS = auto()
    """Each row with each."""


_OF_INPUTS = {
    families.Shape.SCALAR: Shape.NUMBER,
    families.Shape.ROWS: Shape.ROWS,
    families.Shape.TOKENS: Shape.TOKENS,
}
_ELEMENTWISE = _words(
    """
    add sub rsub mul div neg abs sign pow square sqrt rsqrt reciprocal exp expm1 log log1p log2 exp2 sigmoid
    log_sigmoid softplus tanh relu elu gelu silu mish leaky_relu hardtanh clamp clamp_min clamp_max minimum
    maximum fmin fmax where masked_fill lt le gt ge eq ne logical_and logical_or logical_not detach clone to
    lerp addcmul addcdiv logaddexp atan sin cos sinh cosh erf erfc special_ndtr special_log_ndtr ones_like
    zeros_like full_like float_power hypot xlogy nan_to_num softsign threshold celu selu floor ceil round
    trunc contiguous
    """
)
_REDUCTIONS = _words("sum mean std var amax amin max min median prod logsumexp norm linalg_vector_norm")
_HOLDS = _words(
    """
    detach lt le gt ge eq ne logical_and logical_or logical_not logical_xor bitwise_and bitwise_or
    bitwise_not sign floor ceil round trunc argmax argmin argsort isnan isfinite isinf ones_like zeros_like
    full_like heaviside
    """
)
"""No gradient flows through."""


class Inference:
    def __init__(self, family: Family) -> None:
        self._family = family
        self._shapes: dict[Tree, Shape | None] = {}
        self._moving: dict[Tree, bool] = {}

    def find_shape(self, tree: Tree) -> Shape | None:
        """None where it is none of those, as rows in another order are."""
        if tree not in self._shapes:
            self._shapes[tree] = self._infer_shape(tree)
        return self._shapes[tree]

    def is_moving(self, tree: Tree) -> bool:
        """Whether a gradient flows from it to the policy."""
        if tree not in self._moving:
            match tree:
                case Leaf(str() as name):
                    declared = find_input(self._family, name)
                    moving = declared is not None and declared.role is Role.POLICY
                case Apply() if tree.is_without_gradient or tree.packet in _HOLDS:
                    moving = False
                case _:
                    moving = any(map(self.is_moving, list_operands(tree)))
            self._moving[tree] = moving
        return self._moving[tree]

    def is_moving_row(self, tree: Operand) -> bool:
        return self.is_row(tree) and isinstance(tree, Leaf | Apply | Part) and self.is_moving(tree)

    def is_row(self, tree: Operand) -> bool:
        return isinstance(tree, Leaf | Apply | Part) and self.find_shape(tree) is Shape.ROWS

    def is_number(self, operand: Operand) -> bool:
        """One for all rows."""
        if isinstance(operand, Leaf | Apply | Part):
            return self.find_shape(operand) is Shape.NUMBER
        return isinstance(operand, int | float)

    def _infer_shape(self, tree: Tree) -> Shape | None:
        match tree:
            case Leaf(str() as name):
                declared = find_input(self._family, name)
                return _OF_INPUTS[declared.shape] if declared else None
            case Leaf():
                return Shape.NUMBER if not getattr(tree.content, "shape", ()) else None
            case Part():
                return None
        shapes = [self.find_shape(each) for each in list_operands(tree)]
        if tree.packet in _ELEMENTWISE:
            return _broadcast(shapes)
        if tree.packet in _REDUCTIONS and len(shapes) == 1 and shapes[0] is not None:
            return _reduce(shapes[0], tree.arguments)
        match tree.packet, shapes:
            case "unsqueeze", [Shape.ROWS]:
                return Shape.PAIRS
            case "slice", [Shape.PAIRS]:
                return Shape.PAIRS
            case "matmul" | "mv", [Shape.PAIRS, Shape.ROWS]:
                return Shape.ROWS
        return None


def _broadcast(shapes: list[Shape | None]) -> Shape | None:
    known = {each for each in shapes if each is not Shape.NUMBER}
    if not known:
        return Shape.NUMBER
    return known.pop() if len(known) == 1 else None


def _reduce(shape: Shape, arguments: Mapping[str, Operand]) -> Shape | None:
    if arguments.get("keepdim"):
        return None
    match arguments.get("dim"):
        case None:
            return Shape.NUMBER
        case (-1,) | (1,) | -1 | 1 if shape in (Shape.TOKENS, Shape.PAIRS):
            return Shape.ROWS
        case (-1,) | (0,) | -1 | 0 if shape is Shape.ROWS:
            return Shape.NUMBER
    return None
