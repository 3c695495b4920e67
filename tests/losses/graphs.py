"""Documents of graphs, made by hand as a compiler would make them."""

import copy
from typing import Any

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS
from discovery_service.losses.graph import Graph, read_graph

Document = dict[str, Any]


class Value:
    """A value of the graph that is being made; its operators make nodes."""

    def __init__(self, maker: "GraphMaker", ref: dict[str, Any]) -> None:
        self.maker, self.ref = maker, ref

    def __add__(self, other: object) -> "Value":
        return self.maker.node("aten.add.Tensor", self, other)

    def __sub__(self, other: object) -> "Value":
        return self.maker.node("aten.sub.Tensor", self, other)

    def __rsub__(self, other: object) -> "Value":
        return self.maker.node("aten.rsub.Scalar", self, other)

    def __mul__(self, other: object) -> "Value":
        return self.maker.node("aten.mul.Tensor", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> "Value":
        return self.maker.node("aten.div.Tensor", self, other)

    def __pow__(self, other: object) -> "Value":
        return self.maker.node("aten.pow.Tensor_Scalar", self, other)

    def __neg__(self) -> "Value":
        return self.maker.node("aten.neg.default", self)

    def __gt__(self, other: object) -> "Value":
        return self.maker.node("aten.gt.Scalar", self, other)

    def __getitem__(self, output: int) -> "Value":
        return Value(self.maker, {**self.ref, "o": output})


class GraphMaker:
    def __init__(
        self,
        inputs: tuple[str, ...],
        *,
        family: Family = Family.PAIRWISE,
        hyperparameters: dict[str, float] | None = None,
        structural: dict[str, int] | None = None,
        constants: list[Document] | None = None,
    ) -> None:
        order = [each.name for each in INPUTS[family]]
        free = hyperparameters or {}
        self.document: Document = {
            "v": 1,
            "family": family.value,
            "torch": "2.13.0",
            "inputs": sorted(inputs, key=order.index),
            "hyperparameters": [
                *({"name": name, "value": value, "structural": False} for name, value in free.items()),
                *({"name": name, "value": value, "structural": True} for name, value in (structural or {}).items()),
            ],
            "constants": constants or [],
            "nodes": [],
            "out": None,
        }
        self._leaves = [*self.document["inputs"], *free]
        self._values = len(self._leaves) + len(self.document["constants"])

    def leaf(self, name: str) -> Value:
        return Value(self, {"r": self._leaves.index(name)})

    def constant(self, index: int) -> Value:
        return Value(self, {"r": len(self._leaves) + index})

    def node(self, op: str, *given: object, ng: bool = False, **named: object) -> Value:
        node: Document = {"op": op, "a": [_written(each) for each in given]}
        if named:
            node["k"] = {name: _written(each) for name, each in named.items()}
        if ng:
            node["ng"] = True
        self.document["nodes"].append(node)
        self._values += 1
        return Value(self, {"r": self._values - 1})

    def returning(self, out: Value) -> Document:
        return copy.deepcopy(self.document | {"out": out.ref})


def _written(argument: object) -> object:
    if isinstance(argument, Value):
        return argument.ref
    return {"l": [_written(each) for each in argument]} if isinstance(argument, list) else argument


PAIR = ("policy_chosen_logps", "policy_rejected_logps", "reference_chosen_logps", "reference_rejected_logps")


def margin(maker: GraphMaker) -> Value:
    pc, pr, rc, rr = (maker.leaf(name) for name in PAIR)
    return (pc - pr) - (rc - rr)


def log_sigmoid(value: Value) -> Value:
    return value.maker.node("aten.log_sigmoid.default", value)


def sigmoid(value: Value) -> Value:
    return value.maker.node("aten.sigmoid.default", value)


def exp(value: Value) -> Value:
    return value.maker.node("aten.exp.default", value)


def relu(value: Value) -> Value:
    return value.maker.node("aten.relu.default", value)


def dpo() -> Document:
    maker = GraphMaker((*PAIR, "beta"))
    return maker.returning(-log_sigmoid(maker.leaf("beta") * margin(maker)))


def ipo() -> Document:
    maker = GraphMaker((*PAIR, "beta"))
    rho = margin(maker)
    target = maker.node("aten.reciprocal.default", maker.leaf("beta") * 2) * 1
    return maker.returning((rho - target) ** 2)


def slic() -> Document:
    maker = GraphMaker((*PAIR, "beta"))
    return maker.returning(relu(1 - maker.leaf("beta") * margin(maker)))


def exponential() -> Document:
    maker = GraphMaker((*PAIR, "beta"))
    return maker.returning(exp(-(maker.leaf("beta") * margin(maker))))


def simpo(gamma: float = 0.5) -> Document:
    inputs = ("policy_chosen_logps", "policy_rejected_logps", "chosen_lengths", "rejected_lengths", "beta")
    maker = GraphMaker(inputs, hyperparameters={"gamma": gamma})
    chosen, rejected, chosen_length, rejected_length, beta = (maker.leaf(name) for name in inputs)
    scaled = beta * (chosen / chosen_length - rejected / rejected_length)
    return maker.returning(-log_sigmoid(scaled - maker.leaf("gamma")))


def lrml(tau: float = 0.05) -> Document:
    maker = GraphMaker((*PAIR, "beta"), hyperparameters={"tau": tau})
    z = maker.leaf("beta") * margin(maker)
    gate = sigmoid(z / maker.leaf("tau"))
    return maker.returning(-log_sigmoid(z) * (1 - gate) + exp(-z) * gate)


def held_gate() -> Document:
    """A weight that was computed under no_grad, and statistics of the batch."""
    maker = GraphMaker((*PAIR, "beta"))
    z = maker.leaf("beta") * margin(maker)
    centred = maker.node("aten.sub.Tensor", z, maker.node("aten.mean.default", z, ng=True), ng=True)
    weight = maker.node("aten.sigmoid.default", centred, ng=True)
    return maker.returning(-log_sigmoid(z) * weight)


def kto_pair() -> Document:
    """Returns two losses a pair."""
    maker = GraphMaker((*PAIR, "beta"))
    pc, pr, rc, rr = (maker.leaf(name) for name in PAIR)
    chosen, rejected = pc - rc, pr - rr
    chosen_kl = maker.node("aten.clamp.default", maker.node("aten.mean.default", chosen), 0)
    rejected_kl = maker.node("aten.clamp.default", maker.node("aten.mean.default", rejected), 0)
    beta = maker.leaf("beta")
    halves = [1 - sigmoid(beta * (chosen - rejected_kl)), 1 - sigmoid(beta * (chosen_kl - rejected))]
    return maker.returning(maker.node("aten.cat.default", halves))


def ranked() -> Document:
    """Sizes, several results, an index and a constant."""
    constant = {"dtype": "float32", "shape": [2], "data": [0.25, {"f": "inf"}]}
    maker = GraphMaker((*PAIR, "beta"), constants=[constant])
    z = maker.leaf("beta") * margin(maker)
    rows = maker.node("sym_size", z, 0)
    ordered = maker.node("aten.sort.default", z, descending=True)
    ranks = maker.node("aten.arange.start", 1, maker.node("sym_add", rows, 1), device={"d": "in"})
    share = maker.node("aten.cumsum.default", ordered[0], 0) / ranks
    back = maker.node("aten.gather.default", share, 0, maker.node("aten.argsort.default", ordered[1]))
    scale = maker.node("aten.select.int", maker.constant(0), 0, 0)
    return maker.returning(maker.node("aten.softplus.default", -back) * scale)


def matching() -> Document:
    inputs = ("policy_token_logps", "reference_token_logps", "mask", "rewards", "group", "beta")
    maker = GraphMaker(inputs, family=Family.MATCHING)
    policy, reference, mask, rewards, group, beta = (maker.leaf(name) for name in inputs)
    ratio = maker.node("aten.detach.default", maker.node("aten.sum.dim_IntList", (policy - reference) * mask, [1]))
    columns, rows = maker.node("aten.unsqueeze.default", group, 1), maker.node("aten.unsqueeze.default", group, 0)
    same = maker.node("aten.to.dtype", maker.node("aten.eq.Tensor", columns, rows), {"t": "float32"})
    reward = rewards - beta * ratio
    mean = maker.node("aten.mv.default", same, reward) / maker.node("aten.sum.dim_IntList", same, [1])
    weighted = maker.node("aten.sum.dim_IntList", policy * mask, [1])
    return maker.returning(-((reward - mean) * weighted))


def outcome() -> Document:
    inputs = ("policy_logps", "behavior_logps", "outcomes")
    maker = GraphMaker(inputs, family=Family.OUTCOME)
    policy, behavior, outcomes = (maker.leaf(name) for name in inputs)
    return maker.returning(-(exp(policy - behavior) * outcomes))


GOOD = {
    each.__name__: each()
    for each in (dpo, ipo, slic, exponential, simpo, lrml, held_gate, kto_pair, ranked, matching, outcome)
}


def graph_of(document: Document) -> Graph:
    return read_graph(document)
