"""What scores a completion in an operator's arena: their own function, or one of two that are built in."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from workers.arenas.hf import packages
from workers.arenas.hf.contents import check_digest
from workers.arenas.hf.packages import Package, read_package
from workers.arenas.hf.rows import LARGEST, Part

Scorer = Callable[[Part, str], float]
"""Of a prompt, as it stands in the file, and the completion's text."""


class ScorerFailed(Exception):
    """The operator's function is at fault, neither the loss nor the machine."""


def make_scorer(document: Mapping[str, Any]) -> Scorer:
    """From a document's `scorer`. Raises ScorerFailed where a function cannot be imported, and FilesChanged where its
    package is not the one that was registered."""
    match document["kind"]:
        case "function":
            package = read_scoring_package(document["function"])
            check_digest(f"The package {package.name}", package.sha256, document["sha256"])
            return _import_function(document["function"], package)
        case "regex":
            pattern = _compile(document["pattern"])
            return lambda _, completion: float(pattern.search(completion) is not None)
        case "length":
            words = int(document["words"])
            return lambda _, completion: -float(abs(len(completion.split()) - words))
    raise ValueError(f"There is no kind of scorer {document['kind']!r}.")


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    # How deep one may be nested is another matter in another process.
    except (re.error, OverflowError, RecursionError) as error:
        raise ScorerFailed(f"The scorer's pattern cannot be compiled: {error}. Mend it.") from error


def read_scoring_package(place: str) -> Package:
    """Of a function `MODULE:FUNCTION`. Raises ScorerFailed."""
    try:
        return read_package(place.partition(":")[0])
    except Exception as error:
        raise _cannot_be_imported(place, error) from error


def check_is_installed(place: str) -> None:
    """Whether the processes in which policies train will find it. Raises ScorerFailed."""
    try:
        packages.check_is_installed(place.partition(":")[0])
    except ModuleNotFoundError as error:
        raise _cannot_be_imported(place, error) from error


def _import_function(place: str, package: Package) -> Scorer:
    module, _, name = place.partition(":")
    try:
        function = getattr(package.load(module), name)
    except Exception as error:
        raise _cannot_be_imported(place, error) from error
    if not callable(function):
        raise ScorerFailed(f"The scorer {place} is no function.")

    def score(prompt: Part, completion: str) -> float:
        try:
            with package.running():
                value = float(function(prompt, completion))
        except Exception as error:
            raise ScorerFailed(f"The scorer {place} fails: {type(error).__name__}: {error}. Mend it.") from error
        if not math.isfinite(value):
            raise ScorerFailed(f"The scorer {place} answers {value} for {completion[:60]!r}: it has to be finite.")
        if abs(value) > LARGEST:
            told = f"The scorer {place} answers {value:g} for {completion[:60]!r}"
            raise ScorerFailed(f"{told}: beyond {LARGEST:g} either way nothing is computed. Scale it.")
        return value

    return score


def _cannot_be_imported(place: str, error: Exception) -> ScorerFailed:
    hint = " Install its package beside the workers." if isinstance(error, ModuleNotFoundError) else ""
    return ScorerFailed(f"The scorer {place} cannot be imported: {type(error).__name__}: {error}.{hint}")
