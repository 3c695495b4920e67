"""Writes a loss as one Python file that needs only torch and proves itself: `python discovered_loss.py --check`.

The same facts give the same bytes. Nothing is computed here: the numbers that the file checks itself against were
stored by the gate, and what they were computed from the file draws again. The source was read by the gate and is read
again, so that what is written is in the loss language and nothing else.
"""

import ast
import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.losses.export_words import clean, tell_loss, tell_shown
from discovery_service.losses.exported import Facts
from discovery_service.losses.families import INPUTS, Input, Role, Shape
from discovery_service.losses.source import CheckedSource, check_source

CONTRACT_VERSION = 1
_WIDTH = 112
# As the gate's fixed cases are, which a test compares: rows, beta, progress.
_ROWS = (2, 3, 7, 64)
_BETAS = (0.1, 0.5, 1.0, 0.05, 0.2, 0.8, 0.15, 0.03, 0.6, 0.4, 0.07, 0.3, 4.0, 2.5, 1.4, 0.7)
_PROGRESS = (0.0, 0.55, 1.0, 0.35, 0.75, 0.15, 0.95, 0.25, 0.5, 0.65, 0.05, 0.85, 0.6, 0.1, 0.9, 0.45)
CASES = tuple(
    (_ROWS[number % len(_ROWS)], beta, progress)
    for number, (beta, progress) in enumerate(zip(_BETAS, _PROGRESS, strict=True))
)
RELATIVE = ABSOLUTE = 1e-5
"""Above the gate's own, for another processor rounds what is drawn otherwise."""
RESERVED = frozenset(
    {"NAME", "FAMILY", "GRAPH_SHA256", "CONTRACT_VERSION", "IS_CONFIRMED", "SHOWN", "Tensor"}
    | {"_check_against_stored", "_draw_batch", "_draw_input", "_difference", "_told"}
    | {"_ASKED", "_POLICY", "_INPUTS", "_CASES", "_STORED"}
)
"""What a module calls so itself; what its loss called so has another name there."""


@dataclass(frozen=True)
class Module:
    text: str
    entry: str
    """The function that is the loss, as it is called in the file."""
    checked: CheckedSource
    asked: tuple[str, ...]
    """The inputs of the family that it asks for by name, in its own order."""


def write_module(facts: Facts) -> str:
    """Raises Refused where the stored source is no longer one of the loss language."""
    return make_module(facts).text


def make_module(facts: Facts) -> Module:
    """Raises Refused where the stored source is no longer one of the loss language."""
    checked = check_source(facts.source, facts.family, name=facts.name)
    tree = ast.parse(checked.text)
    entry = next(each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == checked.entry)
    for name in sorted(RESERVED & _list_defined(tree)):
        _Renamed(name, _find_free(name, tree)).visit(tree)
    _type_entry(entry, checked)
    ast.fix_missing_locations(tree)
    asked = tuple(each.arg for each in (*entry.args.args, *entry.args.kwonlyargs) if each.arg in _names(facts.family))
    text = read_template("module.py.txt").substitute(
        doc=_escape(tell_loss(facts, checked)),
        imports=_write_imports(tree),
        name=_quote(clean(facts.name)),
        family=_quote(facts.family.value),
        graph_sha256=facts.graph_sha256,
        contract_version=CONTRACT_VERSION,
        is_confirmed=facts.is_confirmed,
        reference=REFERENCE_LOSSES[facts.family],
        shown=_quote(tell_shown(facts)),
        source=_write_source(tree),
        entry=entry.name,
        asked=_write_names(asked),
        policy=_write_names(each.name for each in INPUTS[facts.family] if each.role is Role.POLICY),
        inputs=_write_rows((each.name, _find_kind(each)) for each in _list_drawn(facts.family)),
        cases=_write_rows(CASES),
        stored=_write_stored(facts.check_vectors),
        relative=RELATIVE,
        absolute=ABSOLUTE,
        tolerance_words="Drawn numbers differ in their last bit between processors.",
    )
    return Module(text, entry.name, checked, asked)


@cache
def read_template(name: str) -> Template:
    place = files("discovery_service.losses") / "templates" / name
    return Template(place.read_text(encoding="utf-8"))


def _names(family: Family) -> set[str]:
    return {each.name for each in INPUTS[family]}


# The source


def _list_defined(tree: ast.Module) -> set[str]:
    """What the source calls so anywhere but as a parameter, which shadows nothing outside its function."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _find_free(name: str, tree: ast.Module) -> str:
    taken = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} | _list_defined(tree) | RESERVED
    free = f"{name}_of_loss"
    while free in taken:
        free += "_"
    return free


class _Renamed(ast.NodeTransformer):
    """Where a function has a parameter of the name, that one is meant in it."""

    def __init__(self, name: str, new: str) -> None:
        self.name, self.new = name, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.new if node.id == self.name else node.id
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.name = self.new if node.name == self.name else node.name
        if all(each.arg != self.name for each in _list_arguments(node.args)):
            self.generic_visit(node)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        if all(each.arg != self.name for each in _list_arguments(node.args)):
            self.generic_visit(node)
        return node


def _list_arguments(given: ast.arguments) -> tuple[ast.arg, ...]:
    return (*given.posonlyargs, *given.args, *given.kwonlyargs)


def _type_entry(entry: ast.FunctionDef, checked: CheckedSource) -> None:
    """Inputs are tensors, settings numbers; hyper-parameters have the values with which they were evaluated."""
    kinds = {each.name: "float" if each.role is Role.SETTING else "Tensor" for each in INPUTS[checked.family]}
    kinds |= {each.name: type(each.value).__name__ for each in checked.hyperparameters}
    entry.args.args = [*entry.args.posonlyargs, *entry.args.args]
    entry.args.posonlyargs = []
    for argument in (*entry.args.args, *entry.args.kwonlyargs):
        argument.annotation = ast.Name(kinds[argument.arg])
    entry.returns = ast.Name("Tensor")


def _write_source(tree: ast.Module) -> str:
    """Functions apart, and what is not one as it comes; a head that is too long with a parameter a line."""
    parts = []
    for node in tree.body:
        text = ast.unparse(node)
        parts.append(_break_head(node, text) if isinstance(node, ast.FunctionDef) else text)
    return "\n\n\n".join(parts) + "\n"


def _break_head(node: ast.FunctionDef, text: str) -> str:
    head, _, body = text.partition("\n")
    if len(head) <= _WIDTH:
        return text
    positional = len(node.args.args) - len(node.args.defaults)
    lines = []
    for place, each in enumerate(node.args.args):
        default = node.args.defaults[place - positional] if place >= positional else None
        lines.append(_write_parameter(each, default))
    if node.args.kwonlyargs:
        lines.append("*")
        lines += [
            _write_parameter(each, default)
            for each, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        ]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    parameters = "\n".join(f"    {each}," for each in lines)
    return f"def {node.name}(\n{parameters}\n){returns}:\n{body}"


def _write_parameter(parameter: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(parameter)
    if default is None:
        return text
    return f"{text} = {ast.unparse(default)}" if parameter.annotation else f"{text}={ast.unparse(default)}"


def _write_imports(tree: ast.Module) -> str:
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    lines = ["import math\n"] if "math" in used else []
    lines.append("import torch")
    if "F" in used:
        lines.append("import torch.nn.functional as F")
    return "\n".join([*lines, "from torch import Tensor"])


# What it is checked against


def _list_drawn(family: Family) -> list[Input]:
    return [each for each in INPUTS[family] if each.shape is not Shape.SCALAR]


def _find_kind(each: Input) -> str:
    if each.name in ("mask", "group"):
        return each.name
    if each.is_integer:
        return "category"
    if each.name.endswith("lengths"):
        return "lengths"
    if each.shape is Shape.TOKENS:
        return "token logps"
    is_likelihood = each.role in (Role.POLICY, Role.REFERENCE) or each.name.endswith("logps")
    return "logps" if is_likelihood else "score"


def _write_rows(rows: Iterable[tuple[object, ...]]) -> str:
    return "\n".join(f"    ({', '.join(_quote(each) for each in row)})," for row in rows)


def _write_names(names: Iterable[str]) -> str:
    return f"({' '.join(f'{_quote(name)},' for name in names)})"


def _write_stored(vectors: Mapping[str, object]) -> str:
    """Nine digits say a float32 exactly."""
    document = json.loads(json.dumps(vectors), parse_float=lambda digits: float(f"{float(digits):.9g}"))
    told = {part: document[part] for part in ("values", "gradients")}
    return "\n".join(textwrap.wrap(json.dumps(told, sort_keys=True), _WIDTH, break_on_hyphens=False))


# Text of others


def _quote(value: object) -> str:
    """As a literal in plain letters, whatever stands in a name."""
    if not isinstance(value, str):
        return repr(value)
    # Beyond U+FFFF JSON has two escapes for one character, and Python reads them as two.
    return ascii(value) if any(character > "\uffff" for character in value) else json.dumps(value)


def _escape(text: str) -> str:
    """For a docstring, which it must not end."""
    return text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
