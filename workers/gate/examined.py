"""What the child that examines a loss may say: known words and finite numbers. Of anything else nothing is stored.

A child that a hostile graph has taken over can answer anything, and Postgres refuses NaN, NUL and lone surrogates.
"""

import base64
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from discovery_service.losses.graph import Graph
from discovery_service.losses.passport import PASSPORT_FLAGS, PASSPORT_TAILS, PASSPORT_USES
from discovery_service.losses.refusals import Refusal, RefusalCode, Refused, refuse
from discovery_service.losses.size import measure_graph
from workers.gate.compare import Malformed, find_not_finite
from workers.gate.twins import read_fingerprint
from workers.supervisor.verdict import printable

MOST_POINTS = 1_000
MOST_PLACES = 500
MOST_REFUSALS = 20
MOST_MESSAGE = 500

Number = Annotated[float, Field(allow_inf_nan=False)]


def _one_of(words: Collection[str]) -> AfterValidator:
    def check(word: str) -> str:
        if word not in words:
            raise ValueError("is no word that is known here")
        return word

    return AfterValidator(check)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Tail(_Strict):
    shape: Annotated[str, _one_of(PASSPORT_TAILS)]
    slope: Number | None


class _Sides(_Strict):
    wrong: Number | None
    right: Number | None


class _Tails(_Strict):
    wrong: _Tail
    right: _Tail


class _Passport(_Strict):
    version: int
    family: str
    uses: dict[Annotated[str, _one_of(PASSPORT_USES)], bool]
    is_batch_coupled: bool
    is_margin_only: bool
    is_beta_equivariant: bool
    is_finite_in_bf16: bool | None
    curve_progress: Number
    is_flat: bool
    value_at_zero: Number | None
    slope_at_zero: Number | None
    is_monotone: bool
    is_convex: bool
    rises: list[Annotated[list[Number | None], Field(min_length=2, max_length=2)]] = Field(max_length=MOST_PLACES)
    jumps: list[Annotated[list[Number], Field(min_length=2, max_length=2)]] = Field(max_length=MOST_PLACES)
    saturates: _Sides
    tails: _Tails
    flags: list[Annotated[str, _one_of(PASSPORT_FLAGS)]]

    @model_validator(mode="after")
    def holds_what_sentences_need(self) -> Self:
        if not {"reference", "beta"} <= self.uses.keys():
            raise ValueError("it does not say whether the reference and beta are used")
        return self


class _Curve(_Strict):
    z: list[Number] = Field(min_length=1, max_length=MOST_POINTS)
    value: list[Number | None]
    slope: list[Number | None]

    @model_validator(mode="after")
    def is_one_table(self) -> Self:
        if not len(self.z) == len(self.value) == len(self.slope):
            raise ValueError("its columns differ in length")
        return self


class _Refusal(_Strict):
    code: Annotated[RefusalCode, Field(strict=False)]
    message: str = Field(min_length=1, max_length=MOST_MESSAGE)
    line: int | None


class _Answer(_Strict):
    values: list[Any]
    gradients: list[Any]
    fingerprint: str
    passport: _Passport
    curve: _Curve
    refusals: list[_Refusal] = Field(max_length=MOST_REFUSALS)


@dataclass(frozen=True)
class Examined:
    passport: dict[str, Any]
    curve: dict[str, Any]
    fingerprint: bytes
    check_vectors: dict[str, Any]
    """Values and gradients of the graph on the fixed cases; an export proves itself against them."""
    refusals: tuple[Refusal, ...]


def read_examined(answer: Mapping[str, Any], graph: Graph) -> Examined:
    """Raises Refused, whatever the child answered; a loss that is not finite on the fixed cases is refused too."""
    try:
        read = _Answer.model_validate(dict(answer))
        fingerprint = base64.b64decode(read.fingerprint, validate=True)
        read_fingerprint(fingerprint, graph.family)
        if read.passport.family != graph.family.value:
            raise ValueError("the passport is of another family")
        vectors = {"values": read.values, "gradients": read.gradients}
        not_finite = find_not_finite(vectors, graph.family)
    except (ValidationError, Malformed, ValueError, OverflowError) as error:
        message = "The process that examines the loss answered in no known form: write the loss in a simpler way."
        raise refuse(RefusalCode.JAIL_CRASH, message) from error
    if not_finite is not None:
        raise Refused(not_finite)
    refusals = tuple(Refusal(each.code, printable(each.message), each.line) for each in read.refusals)
    return Examined(
        passport={**read.passport.model_dump(), "size": asdict(measure_graph(graph))},
        curve=read.curve.model_dump(),
        fingerprint=fingerprint,
        check_vectors=vectors,
        refusals=refusals,
    )
