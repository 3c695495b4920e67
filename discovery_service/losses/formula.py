"""The formula of a loss as plain text, where it is short enough to read."""

from collections import Counter
from collections.abc import Mapping

from discovery_service.losses.arguments import OPEN_END, Argument, DType, Ref
from discovery_service.losses.graph import Constant, Graph, Hyperparameter
from discovery_service.losses.nodes import Node
from discovery_service.losses.operators import OPERATORS
from discovery_service.losses.terms import NOTATION, Term, apply, hold, number

MAX_LENGTH = 200
_MIN_SHARED = 10
"""What is used twice gets a letter of its own if it is longer than this."""
_LETTERS = "uwqhkmnp"
"""Not z, which is beta times the margin wherever a loss is described."""
_REDUCTIONS = {"0": "none", "1": "mean", "2": "sum"}
_PI, _RHO, _Y_HAT = (
    "\N{GREEK SMALL LETTER PI}",
    "\N{GREEK SMALL LETTER RHO}",
    "\N{LATIN SMALL LETTER Y WITH CIRCUMFLEX}",
)
_SYMBOLS: Mapping[str, str] = {
    "policy_chosen_logps": f"{_PI}c",
    "policy_rejected_logps": f"{_PI}r",
    "reference_chosen_logps": f"{_RHO}c",
    "reference_rejected_logps": f"{_RHO}r",
    "chosen_lengths": "|c|",
    "rejected_lengths": "|r|",
    "beta": "\N{GREEK SMALL LETTER BETA}",
    "chosen_aux": "sc",
    "rejected_aux": "sr",
    "prompt_value": "v",
    "policy_logps": _PI,
    "behavior_logps": "b",
    "reference_logps": _RHO,
    "outcomes": "y",
    "predicted_outcomes": _Y_HAT,
    "sampled_policy_logps": f"{_PI}'",
    "sampled_reference_logps": f"{_RHO}'",
    "sampled_predicted_outcomes": f"{_Y_HAT}'",
    "policy_token_logps": _PI,
    "reference_token_logps": _RHO,
    "rewards": "r",
}
_GREEK: Mapping[str, str] = {
    "alpha": "\N{GREEK SMALL LETTER ALPHA}",
    "gamma": "\N{GREEK SMALL LETTER GAMMA}",
    "delta": "\N{GREEK SMALL LETTER DELTA}",
    "eps": "\N{GREEK SMALL LETTER EPSILON}",
    "epsilon": "\N{GREEK SMALL LETTER EPSILON}",
    "eta": "\N{GREEK SMALL LETTER ETA}",
    "theta": "\N{GREEK SMALL LETTER THETA}",
    "kappa": "\N{GREEK SMALL LETTER KAPPA}",
    "lam": "\u03bb",
    "mu": "\N{GREEK SMALL LETTER MU}",
    "tau": "\N{GREEK SMALL LETTER TAU}",
    "phi": "\N{GREEK SMALL LETTER PHI}",
    "omega": "\N{GREEK SMALL LETTER OMEGA}",
}


def find_formula(graph: Graph) -> str | None:
    """One line of text; None where it would be longer than 200 characters or the graph is more than a formula.

    Inputs are `πc`, `ρr` and the like, `sg` holds a gradient back, `[a > b]` is 1 where that holds, and what is used
    twice gets a letter behind "where".
    """  # noqa: RUF002
    return _Writer(graph).write()


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._first = len(graph.leaves)
        self._live = graph.live_values()
        self._terms: dict[int, Term] = {}
        self._shared: list[str] = []
        names = {self._name(leaf).text for leaf in graph.leaves if not isinstance(leaf, Constant)}
        self._letters = [letter for letter in _LETTERS if letter not in names]
        nodes = [graph.nodes[value - self._first] for value in self._live if value >= self._first]
        self._uses = Counter(ref.value for node in nodes for ref in node.refs())
        self._leaves_no_grad = {ref.value for node in nodes if not node.is_without_gradient for ref in node.refs()}
        self._leaves_no_grad.add(graph.out.value)

    def write(self) -> str | None:
        for value in self._live:
            term = self._describe(value)
            if term is None or len(term.text) > MAX_LENGTH:
                return None
            self._terms[value] = self._share(value, term)
        result = self._find_term(self._graph.out)
        if result is None:
            return None
        meanings = ", ".join(reversed(self._shared))
        text = f"{result.text}, where {meanings}" if meanings else result.text
        return text if len(text) <= MAX_LENGTH else None

    def _share(self, value: int, term: Term) -> Term:
        is_node = value >= self._first and value != self._graph.out.value
        if not (is_node and self._uses[value] > 1 and len(term.text) > _MIN_SHARED and self._letters):
            return term
        letter = self._letters.pop(0)
        self._shared.append(f"{letter} = {term.text}")
        return Term(letter)

    def _describe(self, value: int) -> Term | None:
        if value < self._first:
            leaf = self._graph.leaves[value]
            if isinstance(leaf, Constant):
                return number(leaf.data[0]) if leaf.shape == () else None
            return self._name(leaf)
        node = self._graph.nodes[value - self._first]
        term = self._describe_node(node)
        if term is not None and node.is_without_gradient and value in self._leaves_no_grad:
            return hold(term)
        return term

    def _describe_node(self, node: Node) -> Term | None:
        operator = OPERATORS.get(node.operation)
        if operator is None or operator.outputs != 1:
            return None
        if operator.packet == "slice":
            return self._find_term(node.arguments["self"]) if _takes_all(node) else None
        operands: list[tuple[str, Term]] = []
        for name, argument in node.arguments.items():
            for each in argument if isinstance(argument, tuple) else (argument,):
                term = self._find_term(each)
                if term is None:
                    return None
                operands.append((name, term))
        if write := NOTATION.get((operator.packet, tuple(node.arguments))):
            return write(*(term for _, term in operands))
        named = {each.name for each in operator.parameters if not each.is_required or each.is_keyword_only}
        return apply(operator.packet.strip("_"), *(_show(name, term, name in named) for name, term in operands))

    def _find_term(self, argument: Argument) -> Term | None:
        match argument:
            case Ref(value, None):
                return self._terms[value]
            case bool() | int() | float():
                return number(argument)
            case DType(name):
                return Term(name)
            case str():
                return Term(argument)
        return None

    def _name(self, leaf: str | Hyperparameter) -> Term:
        if isinstance(leaf, Hyperparameter):
            return Term(_GREEK.get(leaf.name, leaf.name))
        return Term(_SYMBOLS.get(leaf, leaf))


def _takes_all(node: Node) -> bool:
    bounds = (node.arguments.get("start", 0), node.arguments.get("end", OPEN_END), node.arguments.get("step", 1))
    return bounds in ((0, OPEN_END, 1), (None, None, 1))


def _show(name: str, term: Term, is_named: bool) -> Term:
    """An option with its name: in var(x, 0) nobody knows what the 0 is."""
    if name == "reduction":
        term = Term(_REDUCTIONS.get(term.text, term.text))
    return Term(f"{name}={term.text}") if is_named else term
