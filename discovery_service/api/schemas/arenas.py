"""Arenas over the wire: the built-in ones and an operator's, what each offers and what is known of it."""

from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from discovery_service.domain.arenas import GOLD_REWARD, ArenaKind
from discovery_service.domain.campaign import Strict, example
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


class ArenaRead(BaseModel):
    model_config = example(**_READ)

    name: str = Field(description="As a campaign names it. Of an operator's arena the part before the @ is enough.")
    kind: ArenaKind
    family: Family
    summary: str | None
    offers: list[str] | None = Field(description="The ways to beat DPO in it; null where nobody knows.")
    is_control: bool | None = Field(description="Whether it offers none, so that a winner in it is a false one.")
    reward: str | None = Field(description="What an answer is worth; null where nobody knows.")
    counts: Literal["J", "accuracy", "score"] = Field(description="The metric by which losses are compared in it.")
    content_sha256: str
    document: dict[str, Any] = Field(description="All that decides what a training in it measures.")
    calibration: dict[str, Any] | None = Field(description="What was measured of it: optimum, noise, cost.")


class ArenaList(BaseModel):
    model_config = example(data=[_READ])

    data: list[ArenaRead]
