"""Over the wire where a loss comes from, what came of it, and what it earns beside its family's reference."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from discovery_service.api.schemas.evaluations import SettingRead
from discovery_service.api.schemas.leaderboard import MeanRead
from discovery_service.api.schemas.rounds import StandingShort
from discovery_service.db.lineage import MOST_RELATIVES, Kin, Member, Relative
from discovery_service.db.tables import Lineage
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import example
from discovery_service.domain.states import CandidateStatus
from discovery_service.engine.frontiers import Frontier, Point, Trace
from discovery_service.losses.changes import tell_changes

PARENT = "parent"
_ID = "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e"
_PARENT_ID = "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1d"
_SETTING: dict[str, Any] = {"beta": 1.0, "learning_rate": 0.0015, "steps": 120}
_STANDING: dict[str, Any] = {
    **{"extension": 0, "setting": _SETTING, "draws": 12},
    **{"difference": 0.41, "lower": 0.22, "upper": 0.6, "verdict": "better than"},
}
_RELATIVE: dict[str, Any] = {
    "id": _ID,
    "name": "softened",
    "author": "llm",
    "status": "accepted",
    "round": 3,
    "slot": 1,
    "turn": 0,
    "generation": 0,
    "screen": _STANDING,
    "confirm": _STANDING,
}
_DESCENT: dict[str, Any] = {
    "parent_id": _PARENT_ID,
    "child_id": _ID,
    "role": PARENT,
    "diff": "--- dpo\n+++ softened\n@@ -1 +1 @@\n-    return -F.logsigmoid(z)\n+    return -F.logsigmoid(z - 0.1)\n",
}


class RelativeRead(BaseModel):
    model_config = example(**_RELATIVE)

    id: UUID
    name: str
    author: Author
    status: CandidateStatus
    round: int
    slot: int
    turn: int
    generation: int = Field(description="-1 of a parent, 1 of a child; by the shortest way.")
    screen: StandingShort | None = Field(description="In the arena of the search.")
    confirm: StandingShort | None = Field(description="Of the last whole confirmation, else of the last begun.")

    @classmethod
    def of(cls, relative: Relative) -> "RelativeRead":
        standings = {"screen": StandingShort.of(relative.screen), "confirm": StandingShort.of(relative.confirm)}
        columns = {name: value for name, value in relative.member._asdict().items() if name in cls.model_fields}
        return cls.model_validate({**columns, "generation": relative.generation, **standings})


class DescentRead(BaseModel):
    """That one loss stood in the prompt, or under the knife, when another was made."""

    model_config = example(**_DESCENT)

    parent_id: UUID
    child_id: UUID
    role: Literal["parent", "inspiration"]
    diff: str | None = Field(
        description="Unified, of the readable source from a parent to its child, empty where they are the same; null"
        " of an inspiration, and where one of both is too long to be compared."
    )


class LineageRead(BaseModel):
    model_config = example(
        candidate_id=_ID,
        losses=[_RELATIVE | {"id": _PARENT_ID, "name": "dpo", "generation": -1}, _RELATIVE],
        descents=[_DESCENT],
        are_ancestors_cut=False,
        are_descendants_cut=False,
    )

    candidate_id: UUID
    losses: list[RelativeRead] = Field(description="Ancestors, itself, descendants; by generation, round and slot.")
    descents: list[DescentRead] = Field(description="Every one between two of these.")
    are_ancestors_cut: bool = Field(description=f"There are more than the {MOST_RELATIVES} that are shown.")
    are_descendants_cut: bool

    @classmethod
    def of(cls, candidate_id: UUID, kin: Kin) -> "LineageRead":
        members = {each.member.id: each.member for each in kin.relatives}
        return cls(
            candidate_id=candidate_id,
            losses=[RelativeRead.of(each) for each in kin.relatives],
            descents=[_read_descent(each, members[each.parent_id], members[each.child_id]) for each in kin.descents],
            are_ancestors_cut=kin.are_ancestors_cut,
            are_descendants_cut=kin.are_descendants_cut,
        )


def _read_descent(row: Lineage, parent: Member, child: Member) -> DescentRead:
    is_parent = row.role == PARENT
    diff = tell_changes(parent.source, child.source, names=(parent.name, child.name)) if is_parent else None
    return DescentRead.model_validate(
        {"parent_id": row.parent_id, "child_id": row.child_id, "role": row.role, "diff": diff}
    )


_MEAN = {"mean": 1.9, "low": 1.6, "high": 2.2, "draws": 3}
_POINT: dict[str, Any] = {
    "setting": _SETTING,
    "earned": _MEAN,
    "kl": _MEAN,
    "draws": 3,
    "failed": 0,
    "is_on_frontier": True,
}
_TRACE: dict[str, Any] = {
    **{"candidate_id": _ID, "name": "softened"},
    **{"tried": [_POINT], "tuned": [_POINT], "screen": [_POINT], "confirm": [_POINT]},
}


class FrontierPointRead(BaseModel):
    """A loss at one setting on some draws."""

    model_config = example(**_POINT)

    setting: SettingRead
    earned: MeanRead | None = Field(description="Null where a draw failed, before all is measured, and where unknown.")
    kl: MeanRead | None = Field(description="Of one draw without an interval: it says nothing of the next one.")
    draws: int = Field(description="On so many it was measured.")
    failed: int
    is_on_frontier: bool = Field(
        description="None of the same list earns as much at less KL, or more at as much; by the means."
    )

    @classmethod
    def of(cls, point: Point, earned: str) -> "FrontierPointRead":
        return cls.model_validate(
            {
                "setting": point.setting,
                "earned": point.means.get(earned),
                "kl": point.means.get("kl"),
                **{"draws": point.draws, "failed": point.failed, "is_on_frontier": point.is_on_frontier},
            },
            from_attributes=True,
        )


class FrontierTraceRead(BaseModel):
    """One loss. Each list is on draws of its own, by which its numbers differ from those of another one."""

    model_config = example(**_TRACE)

    candidate_id: UUID
    name: str
    tried: list[FrontierPointRead] = Field(
        description="Each setting of its tuning on the draws that all have had, as a rule one; empty of a library's"
        " loss that came with its settings."
    )
    tuned: list[FrontierPointRead] = Field(description="Those that were tried on more draws, on all of these.")
    screen: list[FrontierPointRead] = Field(description="The setting that was chosen, on other draws.")
    confirm: list[FrontierPointRead] = Field(description="As it was frozen last, once all of that is measured.")

    @classmethod
    def of(cls, trace: Trace, earned: str) -> "FrontierTraceRead":
        def read(points: Sequence[Point]) -> list[FrontierPointRead]:
            return [FrontierPointRead.of(each, earned) for each in points]

        lists = {name: read(getattr(trace, name)) for name in ("tried", "tuned", "screen", "confirm")}
        return cls(candidate_id=trace.candidate_id, name=trace.name, **lists)


class FrontierRead(BaseModel):
    model_config = example(
        arena="panel:mini", earned="reward", loss=_TRACE, against="dpo", reference=_TRACE | {"name": "dpo"}
    )

    arena: str
    earned: str = Field(description="reward, or where an arena has none score.")
    loss: FrontierTraceRead
    against: str
    reference: FrontierTraceRead | None = Field(
        description="The same of that loss in this campaign; null where this is it, or the campaign has none."
    )

    @classmethod
    def of(cls, found: Frontier) -> "FrontierRead":
        reference = None if found.reference is None else FrontierTraceRead.of(found.reference, found.earned)
        loss = FrontierTraceRead.of(found.loss, found.earned)
        return cls(arena=found.arena, earned=found.earned, loss=loss, against=found.against, reference=reference)
