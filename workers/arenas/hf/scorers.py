"""What scores a completion in an operator's arena: their own function, or one of two that are built in."""

import math
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from workers.arenas.hf.preferences import Part

Scorer = Callable[[Part, str], float]
"""Of a prompt, as it stands in the file, and the completion's text."""


class ScorerFailed(Exception):
    """The operator's function is at fault, neither the loss nor the machine."""


def make_scorer(document: Mapping[str, Any]) -> Scorer:
    """From a document's `scorer`. Raises ScorerFailed where a function cannot be imported."""
    match document["kind"]:
        case "function":
            return _import_function(document["function"])
        case "regex":
            pattern = re.compile(document["pattern"])
            return lambda _, completion: float(pattern.search(completion) is not None)
        case "length":
            words = int(document["words"])
            return lambda _, completion: -float(abs(len(completion.split()) - words))
    raise ValueError(f"There is no kind of scorer {document['kind']!r}.")


def _import_function(place: str) -> Scorer:
    module, _, name = place.partition(":")
    try:
        function = getattr(import_module(module), name)
    except Exception as error:
        raise ScorerFailed(
            f"The scorer {place} cannot be imported: {type(error).__name__}: {error}. Install its package beside the"
            " workers."
        ) from error
    if not callable(function):
        raise ScorerFailed(f"The scorer {place} is no function.")

    def score(prompt: Part, completion: str) -> float:
        try:
            value = float(function(prompt, completion))
        except Exception as error:
            raise ScorerFailed(f"The scorer {place} fails: {type(error).__name__}: {error}. Mend it.") from error
        if not math.isfinite(value):
            raise ScorerFailed(f"The scorer {place} answers {value} for {completion[:60]!r}: it has to be finite.")
        return value

    return score
