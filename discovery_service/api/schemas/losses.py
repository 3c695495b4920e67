"""Families, the library and dry runs through the gate, over the wire."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WrapValidator

from discovery_service.domain.campaign import Strict
from discovery_service.domain.families import Family
from discovery_service.losses.source.constants import MAX_FLOAT, MAX_INTEGER

_DPO = (
    "def dpo(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):\n"
    "    margin = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)\n"
    "    return -F.logsigmoid(beta * margin)\n"
)
_FORMULA = "-log σ(β·((πc − πr) − (ρc − ρr)))"  # noqa: RUF001
_PASSPORT = {
    "version": 1,
    "family": "pairwise",
    "uses": {"reference": True, "lengths": False, "annotator": False, "beta": True, "progress": False},
    "value_at_zero": 0.69315,
    "slope_at_zero": -0.5,
    "is_monotone": True,
    "is_convex": True,
    "size": {"nodes": 6, "bytes": 480, "cost": 12},
}
_NEIGHBOUR = {"name": "cdpo", "cosine": 0.9946, "beta_shift": 0.7071, "is_twin": False, "is_near": True}
_TWIN = {"name": "dpo", "cosine": 1.0, "beta_shift": 1.0, "is_twin": True, "is_near": False}


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


_INPUT = {
    "name": "annotator",
    "role": "data",
    "shape": "(B,)",
    "is_integer": True,
    "meaning": "the number of who labelled the pair, -1 where nobody knows",
}


class InputRead(BaseModel):
    model_config = _example(**_INPUT)

    name: str
    role: str
    shape: str
    is_integer: bool
    meaning: str


class FamilyRead(BaseModel):
    model_config = _example(name="pairwise", inputs=[_INPUT], library=["dpo", "ipo"])

    name: str
    inputs: list[InputRead]
    library: list[str]


class FamilyList(BaseModel):
    model_config = _example(data=[{"name": "pairwise", "inputs": [_INPUT], "library": ["dpo", "ipo"]}])

    data: list[FamilyRead]


class NeighbourRead(BaseModel):
    model_config = _example(**_NEIGHBOUR)

    name: str
    cosine: float
    beta_shift: float
    beta: float | None = None
    """Of the neighbour, where a loss without one of its own is like it at that beta alone."""
    is_twin: bool
    is_near: bool


_KNOWN = {
    "name": "dpo",
    "family": "pairwise",
    "title": "Direct preference optimisation.",
    "paper": "Rafailov et al. 2023, equation 7",
    "defaults": "none",
    "differs": "nothing",
    "source": _DPO,
    "formula": _FORMULA,
    "graph_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "passport": _PASSPORT,
    "sentences": ["Beside the policy it looks at the reference."],
    "neighbours": [_NEIGHBOUR],
}


class KnownLossRead(BaseModel):
    model_config = _example(**_KNOWN)

    name: str
    family: str
    title: str
    paper: str
    defaults: str
    differs: str
    source: str
    formula: str | None
    graph_sha256: str
    passport: dict[str, Any]
    sentences: list[str]
    """The passport, in words."""
    neighbours: list[NeighbourRead]


class KnownLossList(BaseModel):
    model_config = _example(data=[_KNOWN])

    data: list[KnownLossRead]


_Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
_Number = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)] | Annotated[float, Field(ge=-MAX_FLOAT, le=MAX_FLOAT)]
Hyperparameters = Annotated[dict[_Identifier, _Number], Field(max_length=32)]
OPEN_HYPERPARAMETERS = (
    "Numbers for what the source leaves open: parameters without a default, and what a method reads of `self`."
)


def _take_any_text(value: object, validate: Callable[[object], str]) -> str:
    """What may stand in a source the gate says, in its words: lone surrogates too."""
    return value if isinstance(value, str) else validate(value)


class CheckCreate(Strict):
    model_config = _example(family="pairwise", source=_DPO)

    family: Family = Field(strict=False)
    source: Annotated[str, WrapValidator(_take_any_text)]
    hyperparameters: Hyperparameters = Field(default={}, description=OPEN_HYPERPARAMETERS)


_REFUSAL = {"code": "unknown_input", "message": "There is no input `margins`.", "line": 1}


class RefusalRead(BaseModel):
    model_config = _example(**_REFUSAL)

    code: str
    message: str
    line: int | None


_NOTHING: dict[str, Any] = dict.fromkeys(
    ("code", "message", "line", "name", "graph_sha256", "formula", "graph_text", "passport")
)
_ACCEPTED: dict[str, Any] = {
    **_NOTHING,
    "status": "accepted",
    "refusals": [],
    "name": "dpo",
    "graph_sha256": _KNOWN["graph_sha256"],
    "formula": _FORMULA,
    "graph_text": _DPO,
    "passport": _PASSPORT,
    "neighbours": [_TWIN, _NEIGHBOUR],
    "isolation": "full",
}
_REFUSED: dict[str, Any] = {
    **_NOTHING,
    **_REFUSAL,
    "status": "refused",
    "refusals": [_REFUSAL],
    "neighbours": [],
    "isolation": None,
}


class CheckRead(BaseModel):
    """What the gate says of a source, as discovery_service.losses.answer makes it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ACCEPTED, _REFUSED]})

    status: Literal["accepted", "refused", "unavailable"]
    code: str | None
    message: str | None
    line: int | None
    refusals: list[RefusalRead]
    name: str | None
    graph_sha256: str | None
    formula: str | None
    graph_text: str | None
    passport: dict[str, Any] | None
    neighbours: list[NeighbourRead]
    isolation: str | None
    """Of the jail that judged it; null where the text alone was enough for a refusal."""
