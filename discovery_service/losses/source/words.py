"""What is said to a word that the vocabulary lacks, and what to write instead."""

from collections.abc import Mapping, Set
from difflib import get_close_matches

from discovery_service.losses.refusals import RefusalCode
from discovery_service.losses.source.imports import Path
from discovery_service.losses.vocabulary import (
    BUILTINS,
    FUNCTIONAL,
    INSTEAD,
    LIBRARIES,
    MATH_FUNCTIONS,
    MATH_VALUES,
    METHODS,
    PROPERTIES,
    RANDOM,
    STATEFUL,
    TO_NUMBER,
    TORCH_FUNCTIONS,
    TORCH_MODULES,
    TORCH_VALUES,
)

Verdict = tuple[RefusalCode, str] | None

_FUNCTIONS: Mapping[Path, Set[str]] = {
    ("torch",): TORCH_FUNCTIONS,
    ("F",): FUNCTIONAL,
    ("math",): MATH_FUNCTIONS,
    **{("torch", module): names for module, names in TORCH_MODULES.items()},
}
_VALUES: Mapping[Path, Set[str]] = {("torch",): TORCH_VALUES, ("math",): MATH_VALUES}


def judge_library_name(path: Path, *, is_called: bool) -> Verdict:
    """A chain like torch.special.expit, from one of the three libraries on."""
    name = path[-1]
    shown = ".".join(path)[:80]
    home = path[:-1]
    if is_called and name in _FUNCTIONS.get(home, ()):
        return None
    if not is_called and name in _VALUES.get(home, ()):
        return None
    if name in _FUNCTIONS.get(home, ()):
        return RefusalCode.FORBIDDEN_SYNTAX, f"`{shown}` is a function and no value: call it, as in {shown}(x)."
    if name in _VALUES.get(home, ()):
        return RefusalCode.FORBIDDEN_SYNTAX, f"`{shown}` is a value and no function: leave the parentheses out."
    return _explain(shown, name, _suggest_library(path))


def judge_method(name: str) -> Verdict:
    if name in METHODS:
        return None
    if name in PROPERTIES:
        return RefusalCode.FORBIDDEN_SYNTAX, f"`.{name}` is a value and no function: leave the parentheses out."
    return _explain(f".{name}"[:80], name, _suggest_method(name))


def judge_property(name: str) -> Verdict:
    if name in PROPERTIES:
        return None
    if name in METHODS:
        return RefusalCode.FORBIDDEN_SYNTAX, f"`.{name}` is a function and no value: call it, as in x.{name}()."
    return _explain(f".{name}"[:80], name, _suggest_method(name))


def judge_unknown_name(name: str) -> tuple[RefusalCode, str]:
    if name in RANDOM and name not in ("normal", "seed"):
        return _random(name)
    instead = INSTEAD.get(name) or _close(name, BUILTINS | LIBRARIES) or "assign it before, or make it a parameter"
    return RefusalCode.FORBIDDEN_NAME, f"The name `{name[:80]}` stands for nothing here: {instead}."


def is_dunder(name: str) -> bool:
    return "__" in name


def _explain(shown: str, name: str, suggestion: str) -> tuple[RefusalCode, str]:
    """The kind of word decides the code; what no kind covers is an operation off the list."""
    if name.startswith("_"):
        return RefusalCode.FORBIDDEN_NAME, f"`{shown}` is internal to Python or torch: use only public functions."
    if name in RANDOM:
        return _random(shown)
    if name in TO_NUMBER:
        return (
            RefusalCode.TENSOR_TO_NUMBER,
            f"`{shown}` takes a value out of a tensor: leave it out and compute with the tensor itself.",
        )
    if name in STATEFUL:
        return (
            RefusalCode.STATE,
            f"`{shown}` touches autograd or memory behind the loss: use .detach() or `with torch.no_grad():` instead.",
        )
    if name.endswith("_"):
        plain = name.rstrip("_")
        return RefusalCode.IN_PLACE, f"`{shown}` changes a tensor in place: write x = x.{plain}(…) without underscore."
    return RefusalCode.OPERATION_NOT_ALLOWED, f"`{shown}` is not among the operations of a loss: {suggestion}."


def _random(shown: str) -> tuple[RefusalCode, str]:
    return RefusalCode.RANDOMNESS, f"`{shown}` is random and a loss must not be: compute the value from the inputs."


def _suggest_library(path: Path) -> str:
    name = path[-1]
    for home, names in _FUNCTIONS.items():
        if name in names and home != path[:-1]:
            return f"use {'.'.join(home)}.{name}"
    known = _FUNCTIONS.get(path[:-1], TORCH_FUNCTIONS)
    return INSTEAD.get(name) or _close(name, known) or "build it from elementwise operations, sums and torch.where"


def _suggest_method(name: str) -> str:
    if name in TORCH_FUNCTIONS:
        return f"use torch.{name}(x)"
    if name in FUNCTIONAL:
        return f"use F.{name}(x)"
    close = _close(name, METHODS | PROPERTIES)
    return INSTEAD.get(name) or close or "build it from elementwise operations, sums and torch.where"


def _close(name: str, known: Set[str]) -> str | None:
    found = get_close_matches(name[:60], sorted(known), n=1, cutoff=0.75)
    return f"did you mean `{found[0]}`" if found else None
