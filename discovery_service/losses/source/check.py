"""The static check: from a source as it was written to one in plain form, or to everything that is wrong with it."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS
from discovery_service.losses.refusals import Refusal, Refused
from discovery_service.losses.source.entry import choose_entry, list_parameters
from discovery_service.losses.source.guards import find_numbers
from discovery_service.losses.source.imports import resolve_imports
from discovery_service.losses.source.methods import release_self
from discovery_service.losses.source.parsing import parse_source
from discovery_service.losses.source.rewriting import drop_other_methods, write_plainly
from discovery_service.losses.source.scopes import find_scope_violations
from discovery_service.losses.source.syntax import find_violations
from discovery_service.losses.source.updates import find_shared_updates

MAX_REFUSALS = 20


@dataclass(frozen=True)
class Hyperparameter:
    name: str
    value: float | int


@dataclass(frozen=True)
class CheckedSource:
    family: Family
    text: str
    """The source in plain form: `self`, imports, annotations, asserts and comments are gone, docstrings are not."""
    entry: str
    """The function of `text` that is the loss; call it by the names of its parameters."""
    inputs: tuple[str, ...]
    """What it asks for, in the family's order."""
    hyperparameters: tuple[Hyperparameter, ...]

    def document(self) -> dict[str, Any]:
        """As JSON, for a job of the jail."""
        return {
            "family": self.family.value,
            "text": self.text,
            "entry": self.entry,
            "inputs": list(self.inputs),
            "hyperparameters": [asdict(each) for each in self.hyperparameters],
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Of a document that we wrote."""
        return cls(
            family=Family(document["family"]),
            text=document["text"],
            entry=document["entry"],
            inputs=tuple(document["inputs"]),
            hyperparameters=tuple(Hyperparameter(**each) for each in document["hyperparameters"]),
        )


def check_source(
    text: str, family: Family, *, name: str | None = None, values: Mapping[str, float] | None = None
) -> CheckedSource:
    """Checks a source without running any of it; raises Refused with every violation that was found.

    Args:
        text: What a model or a human wrote.
        family: Decides which inputs there are.
        name: The name that the reply gives the loss; decides between several functions that could be it.
        values: Numbers that the reply gives for hyper-parameters that have none in the source.
    """
    values = values or {}
    tree = parse_source(text)
    imports = resolve_imports(tree)
    numbers = find_numbers(tree)
    refusals = imports.refusals + find_violations(tree, numbers)
    entry, faults = _release_entry(tree, family, name, values)
    refusals += faults
    refusals += find_scope_violations(tree, family, imports.refused | ({"self"} if faults else set()))
    refusals += find_shared_updates(tree, numbers)
    if refusals or entry is None:
        raise Refused(*_in_order(refusals))
    given = write_plainly(tree, entry, family, values, numbers)
    text = ast.unparse(tree) + "\n"
    # Plain form takes more room than some sources do; it has to pass as well.
    parse_source(text)
    names = {parameter.name for parameter in list_parameters(entry)}
    return CheckedSource(
        family=family,
        text=text,
        entry=entry.name,
        inputs=tuple(each.name for each in INPUTS[family] if each.name in names),
        hyperparameters=tuple(Hyperparameter(name, value) for name, value in given.items()),
    )


def tell_unused(sources: Iterable[CheckedSource], values: Mapping[str, float]) -> str | None:
    """In a sentence, what was given to sources that none of them takes; None where each is taken.

    A language model may give too much. A person who does has mistyped a name, or believes in a value that nobody uses.
    """
    taken = {(each.name, each.value) for source in sources for each in source.hyperparameters}
    unused = sorted(name for name, value in values.items() if (name, value) not in taken)
    if not unused:
        return None
    return f"{unused[0]} is no hyper-parameter that the source leaves open: it has none of the name, or has its value."


def _release_entry(
    tree: ast.Module, family: Family, name: str | None, values: Mapping[str, float]
) -> tuple[ast.FunctionDef | None, list[Refusal]]:
    """The entry, freed of `self`, and what kept it from being found or freed."""
    try:
        entry = choose_entry(tree, family, name, values)
    except Refused as refused:
        return None, list(refused.refusals)
    functions = [each.name for each in tree.body if isinstance(each, ast.FunctionDef)]
    faults = release_self(entry, family, values, functions)
    drop_other_methods(tree, entry)
    return entry, faults


def _in_order(refusals: Iterable[Refusal]) -> list[Refusal]:
    """By line, each once; a source with more faults than these is told about the first ones."""
    return sorted(dict.fromkeys(refusals), key=lambda refusal: refusal.line or 0)[:MAX_REFUSALS]
