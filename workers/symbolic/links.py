"""Links: what turns a logit, which is to be large, into a loss."""

from collections.abc import Callable, Mapping

from workers.symbolic.expression import Apply, Leaf, Part, Tree
from workers.symbolic.notation import add, clamp, multiply, negate, square, subtract, unary

Link = Callable[[Tree], Tree]


def _focal(logit: Tree) -> Tree:
    return multiply(unary("sigmoid", negate(logit)), negate(unary("log_sigmoid", logit)))


_LARGEST_EXPONENT = 20.0
"""Far beyond any margin that training reaches; without it a logit that is no margin to a reference overflows."""
LINKS: Mapping[str, Link] = {
    "logistic": lambda logit: negate(unary("log_sigmoid", logit)),
    "hinge": lambda logit: unary("relu", subtract(1, logit)),
    "exponential": lambda logit: unary("exp", clamp(negate(logit), max=_LARGEST_EXPONENT)),
    "sigmoid": lambda logit: unary("sigmoid", negate(logit)),
    "squared_hinge": lambda logit: square(unary("relu", subtract(1, logit))),
    "probit": lambda logit: negate(unary("special_log_ndtr", logit)),
    "focal": _focal,
}
"""Without the square, which is IPO at another beta."""
_SQUARES: Mapping[str, Link] = {
    "one_sided": lambda gap: square(unary("relu", negate(gap))),
    "cauchy": lambda gap: unary("log1p", square(gap)),
    "pseudo_huber": lambda gap: unary("sqrt", add(square(gap), 1)),
}
"""For the square of how far something is from a target."""


def find_links(trees: list[Tree]) -> dict[str, dict[Tree, Tree]]:
    """By the link's name the values that are one, each with its logit. The logistic one is found by its value, the
    negated loss."""
    found: dict[str, dict[Tree, Tree]] = {}
    for tree in trees:
        match tree:
            case Apply("aten.log_sigmoid.default", {"self": Leaf() | Apply() | Part() as logit}):
                found.setdefault("logistic", {})[tree] = logit
            case Apply("aten.relu.default", {"self": Apply("aten.rsub.Scalar", {"self": Apply() as logit})}):
                found.setdefault("hinge", {})[tree] = logit
            case Apply("aten.exp.default", {"self": Apply("aten.neg.default", {"self": Apply() as logit})}) | Apply(
                "aten.exp.default",
                {"self": Apply("aten.clamp.default", {"self": Apply("aten.neg.default", {"self": Apply() as logit})})},
            ):
                found.setdefault("exponential", {})[tree] = logit
            case Apply("aten.sigmoid.default", {"self": Apply("aten.neg.default", {"self": Apply() as logit})}):
                found.setdefault("sigmoid", {})[tree] = logit
            case Apply("aten.pow.Tensor_Scalar", {"self": Apply("aten.sub.Tensor") as gap, "exponent": 2}):
                found.setdefault("square", {})[tree] = gap
    return found


def list_other_links(name: str) -> Mapping[str, Link]:
    if name == "square":
        return _SQUARES
    return {other: link for other, link in LINKS.items() if other != name}


def relink(name: str, values: Mapping[Tree, Tree], link: Link) -> dict[Tree, Tree]:
    """What takes the place of each."""
    return {value: negate(link(logit)) if name == "logistic" else link(logit) for value, logit in values.items()}
