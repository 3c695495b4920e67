"""Families, the library and dry runs through the gate, over the wire."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from discovery_service.domain.campaign import Strict
from discovery_service.domain.families import Family

MAX_SOURCE = 100_000
"""Above what the gate takes, so that a source that is too long is told so by the gate, in its words."""

_DPO = (
    "def dpo(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):\n"
    "    margin = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)\n"
    "    return -F.logsigmoid(beta * margin)\n"
)
_FORMULA = "max(0, 1 - z)"
_NEIGHBOUR = {"name": "cell", "cosine": 0.9712, "beta_shift": 1.0, "is_twin": False, "is_near": True}


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
    "passport": {"is_reference_free": False},
    "sentences": ["It compares the policy with the reference."],
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


class CheckCreate(Strict):
    model_config = _example(family="pairwise", source=_DPO)

    family: Family = Field(strict=False)
    source: str = Field(max_length=MAX_SOURCE)


_REFUSAL = {"code": "unknown_input", "message": "There is no input `margins`.", "line": 1}


class RefusalRead(BaseModel):
    model_config = _example(**_REFUSAL)

    code: str
    message: str
    line: int | None


class CheckRead(BaseModel):
    model_config = _example(
        status="refused",
        refusals=[_REFUSAL],
        name="dpo",
        graph_sha256=_KNOWN["graph_sha256"],
        formula=_FORMULA,
        graph_text=_DPO,
        passport={"is_reference_free": False},
        neighbours=[_NEIGHBOUR],
        isolation="full",
        **_REFUSAL,
    )

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
