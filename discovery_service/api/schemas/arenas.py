"""Arenas over the wire: the built-in ones and an operator's, what each offers and what is known of it."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from discovery_service.domain.arenas import GOLD_REWARD, ArenaKind
from discovery_service.domain.calibration import DIGITS
from discovery_service.domain.campaign import MAX_COUNT, Strict, Text, example
from discovery_service.domain.families import Family
from discovery_service.domain.user_arenas import (
    EXAMPLE,
    EXAMPLE_CONTENTS,
    EXAMPLE_SHA256,
    Contents,
    UserArena,
    make_document,
)


class ArenaCreate(Strict):
    """What `discovery arena add` sends: the file, with absolute paths, and what it found behind them."""

    model_config = example(arena=EXAMPLE, contents=EXAMPLE_CONTENTS)

    arena: UserArena
    contents: Contents

    @model_validator(mode="after")
    def belongs_together(self) -> Self:
        if any(not path.startswith("/") for path in (*self.arena.model_name_or_path, self.arena.data)):
            raise PydanticCustomError("relative_path", "names a relative path; workers start in folders of their own")
        try:
            make_document(self.arena, self.contents)
        except ValueError as error:
            raise PydanticCustomError("other_contents", "{message}", {"message": str(error)}) from error
        return self


Number = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Sd = Annotated[float, Field(ge=10**-DIGITS, le=1e9, allow_inf_nan=False)]
"""No less than a calibration can write: with next to none any number of draws would be enough."""

_LOSS: dict[str, Any] = {
    "settings": [{"beta": 0.25, "learning_rate": 1e-5, "steps": 100}],
    "failed": 0,
    "value": {"mean": 0.71, "low": 0.69, "high": 0.73, "draws": 12},
    "difference": {"mean": 0.01, "low": -0.02, "high": 0.04, "draws": 12},
    "sd": 0.04,
}
_STEPS: dict[str, Any] = {"steps": 50, "difference": _LOSS["difference"], "gains_less_than_noise": True}
_LIBRARY: dict[str, Any] = {
    "draws": 12,
    "base_policies": [0],
    "losses": {"ipo": _LOSS},
    "level": 0.975,
    "better": [],
    "worse": [],
    "spread": {"sd": 0.04, "degrees": 5.0},
    "sd": 0.05,
    "detectable": {"difference": 0.06, "draws": 12, "finalists": 3},
    "steps": [_STEPS],
}
_READ: dict[str, Any] = {
    "name": "panel:mini",
    "kind": "synthetic",
    "family": "pairwise",
    "summary": "Half the rows come from an annotator whose labels are coins; the loss is told who labelled.",
    "offers": ["label noise", "annotators that differ"],
    "is_control": False,
    "reward": GOLD_REWARD,
    "counts": "J",
    "content_sha256": EXAMPLE_SHA256,
    "document": {"version": 1, "kind": "synthetic", "name": "panel:mini", "family": "pairwise"},
    "calibration": {
        "name": "panel:mini",
        "base_policies": {"0": {"j_ref": -0.005, "j_ref_se": 0.003, "j_best": 2.102, "j_best_se": 0.014}},
    },
}


class Between(Strict):
    """A mean with its interval."""

    model_config = example(**_LOSS["value"])

    mean: Number
    low: Number | None
    high: Number | None
    draws: int = Field(ge=1, le=MAX_COUNT)


class SettingOfLoss(Strict):
    model_config = example(**_LOSS["settings"][0])

    beta: Number
    learning_rate: Number
    steps: int = Field(ge=1, le=MAX_COUNT)


class LossAtItsBest(Strict):
    model_config = example(**_LOSS)

    settings: list[SettingOfLoss]
    failed: int = Field(ge=0, le=MAX_COUNT, description="On so many of the draws.")
    value: Between | None = Field(description="Of the metric that counts; null where a training failed.")
    difference: Between | None = Field(description="Less that of the family's reference loss; null for itself.")
    sd: Number | None = Field(description="Of that difference over draws.")


class SpreadOfLosses(Strict):
    model_config = example(**_LIBRARY["spread"])

    sd: Sd
    degrees: Positive


class Detectable(Strict):
    model_config = example(**_LIBRARY["detectable"])

    difference: Positive
    draws: int = Field(ge=1, le=MAX_COUNT)
    finalists: int = Field(ge=1, le=MAX_COUNT)


class OtherSteps(Strict):
    model_config = example(**_STEPS)

    steps: int = Field(ge=1, le=MAX_COUNT)
    difference: Between | None
    gains_less_than_noise: bool | None = Field(description="With all of the interval; null where nobody can tell.")


class Library(Strict):
    """The known losses at their best in one arena, on draws that all share."""

    model_config = example(**_LIBRARY)

    draws: int = Field(ge=1, le=MAX_COUNT)
    base_policies: list[Annotated[int, Field(ge=0, le=MAX_COUNT)]] = Field(min_length=1, max_length=100)
    losses: dict[Annotated[Text, Field(max_length=100)], LossAtItsBest] = Field(max_length=1000)
    level: Annotated[float, Field(ge=0.5, lt=1)]
    better: list[Annotated[Text, Field(max_length=100)]]
    worse: list[Annotated[Text, Field(max_length=100)]]
    spread: SpreadOfLosses = Field(description="What the interval of a screen borrows.")
    sd: Sd = Field(description="Of the difference of a tuned loss and the family's reference over draws.")
    detectable: Detectable
    steps: list[OtherSteps]


class ArenaCalibration(Strict):
    """What `discovery arena import` sends: the file that `discovery arena calibrate` wrote."""

    model_config = example(content_sha256=EXAMPLE_SHA256, library=_LIBRARY)

    content_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of the arena as it was measured: a changed one is another."""
    library: Library


class ArenaRead(BaseModel):
    model_config = example(**_READ)

    name: str = Field(description="As a campaign names it. Of an operator's arena the part before the @ is enough.")
    kind: ArenaKind
    family: Family
    summary: str | None
    offers: list[str] | None = Field(
        description="The ways to beat the family's reference loss in it; null where nobody knows."
    )
    is_control: bool | None = Field(
        description="Whether it was made so that nothing can be won in it, or no known loss could be told from the"
        " family's reference in it; null where nobody knows."
    )
    reward: str | None = Field(description="What an answer is worth; null where nobody knows.")
    counts: Literal["J", "accuracy", "value", "score"] = Field(
        description="The metric by which losses are compared in it."
    )
    content_sha256: str
    document: dict[str, Any] = Field(description="All that decides what a training in it measures.")
    calibration: dict[str, Any] | None = Field(
        description="What was measured of it: optimum, noise, cost, the tuned library."
    )


class ArenaList(BaseModel):
    model_config = example(data=[_READ])

    data: list[ArenaRead]
