"""The library of known losses: sources that are read as data, compiled like any candidate's, and never imported."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES

_FIELD = re.compile(r"^(Paper|Defaults|Differs): (.+(?:\n[ ]+.+)*)$", re.MULTILINE)


@dataclass(frozen=True)
class KnownLoss:
    name: str
    family: Family
    title: str
    paper: str
    """Who published it, where, and under which equation."""
    defaults: str
    differs: str
    """What the source does otherwise than the paper."""
    text: str


@cache
def list_known(family: Family) -> tuple[KnownLoss, ...]:
    """In the order in which the family's losses are shown."""
    return tuple(_read(family, name) for name in KNOWN_LOSSES[family])


def _read(family: Family, name: str) -> KnownLoss:
    library = files("discovery_service.losses") / "library"
    place = library / family.value / f"{name}.py"
    if family is Family.AUXILIARY and not place.is_file():
        place = library / Family.PAIRWISE.value / f"{name}.py"
    text = place.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    title, _, rest = docstring.partition("\n\n")
    told = {label.lower(): " ".join(value.split()) for label, value in _FIELD.findall(rest)}
    return KnownLoss(name=name, family=family, title=title, text=text, **told)
