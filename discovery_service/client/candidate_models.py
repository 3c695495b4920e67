"""What the API answers of one loss: itself, its source, graph, curve, relatives, and what it earns for its KL."""

from datetime import datetime
from typing import Any
from uuid import UUID

from discovery_service.client.board_models import Cost, Score
from discovery_service.client.models import EvaluationSetting, Mean, Model, Neighbour, Refusal
from discovery_service.client.round_models import StandingShort


class Hyperparameter(Model):
    name: str
    value: float
    is_structural: bool
    """Its value is compiled in."""


class CandidateIsolation(Model):
    """How well the jail was locked that judged it."""

    level: str
    reason: str | None
    """Why it is not full."""


class CandidateNeighbour(Neighbour):
    is_outside: bool
    """A known loss that is not in its campaign's library."""


class CandidateStanding(Score):
    """How a loss stands in one arena."""

    arena: str
    is_search: bool
    """It is the arena of its campaign's search; else a held-out one."""


class CandidateDetail(Model):
    """A loss with all that is known of it. What a refused one never had is None or empty."""

    id: UUID
    campaign_id: UUID
    campaign: str
    """Its name."""
    family: str
    proposal_id: UUID
    """`client.proposals.read` has what was asked, answered and paid."""
    round_id: UUID
    round: int
    """0 is the library's."""
    slot: int
    turn: int
    name: str
    author: str
    model: str | None
    """Which language model answered with it, as its endpoint calls it."""
    status: str
    is_stopped: bool
    """By the halving of its round, after its first trainings."""
    formula: str | None
    source: str | None
    """As it was sent; None of a long one, which `client.candidates.source` has."""
    readable_source: str | None
    source_sha256: str
    graph_sha256: str | None
    torch_version: str | None
    hyperparameters: list[Hyperparameter] | None
    """At the values that are evaluated."""
    values: dict[str, Any]
    """Those of them that its author gave beside the source."""
    passport: dict[str, Any] | None
    sentences: list[str]
    """The passport, in words."""
    refusals: list[Refusal]
    """Why the gate refused it; the first one decided."""
    isolation: CandidateIsolation | None
    twin: dict[str, Any] | None
    neighbours: list[CandidateNeighbour]
    """Those nearest to it when it was judged, of its campaign's library and of what its round saw."""
    known_as: list[str]
    """The known losses that it behaves like."""
    screen: list[CandidateStanding]
    """Which is partly luck, and confirms nothing."""
    confirm: list[CandidateStanding]
    """Each freeze that it was in, by arena and extension, those of the search first."""
    cost: Cost
    parents: int
    children: int
    created_at: datetime
    judged_at: datetime | None


class SourceText(Model):
    text: str
    html: str
    """The same, escaped and marked by Pygments' short CSS classes."""


class CandidateSource(Model):
    candidate_id: UUID
    name: str
    sent: SourceText
    readable: SourceText | None
    """As the gate writes what it accepted."""


class CandidateGraph(Model):
    candidate_id: UUID
    name: str
    graph_sha256: str | None
    torch_version: str | None
    graph: dict[str, Any] | None
    """What is trained; None of a loss that was never compiled."""


class CurvePoints(Model):
    """A loss by the margin between better and worse answer."""

    z: list[float]
    """Beta times the margin in log-ratios."""
    value: list[float | None]
    slope: list[float | None]


class CandidateCurve(Model):
    candidate_id: UUID
    name: str
    progress: float | None
    """Of training, at which the loss has this curve."""
    curve: CurvePoints | None
    against: str
    reference: CurvePoints | None
    """That of the family's reference."""


class Relative(Model):
    id: UUID
    name: str
    author: str
    status: str
    round: int
    slot: int
    turn: int
    generation: int
    """-1 of a parent, 1 of a child; by the shortest way."""
    screen: StandingShort | None
    confirm: StandingShort | None


class Descent(Model):
    """That one loss stood in the prompt, or under the knife, when another was made."""

    parent_id: UUID
    child_id: UUID
    role: str
    """parent or inspiration."""
    diff: str | None
    """From a parent's readable source to its child's; None of an inspiration, and of a source that is too long."""


class Lineage(Model):
    candidate_id: UUID
    losses: list[Relative]
    """Ancestors, itself, descendants; by generation, round and slot."""
    descents: list[Descent]
    are_ancestors_cut: bool
    """There are more than are shown."""
    are_descendants_cut: bool


class FrontierPoint(Model):
    """A loss at one setting on some draws."""

    setting: EvaluationSetting
    earned: Mean | None
    """None where a draw failed, before all is measured, and where unknown."""
    kl: Mean | None
    draws: int
    failed: int
    is_on_frontier: bool
    """None of the same list earns as much at less KL, or more at as much; by the means."""


class FrontierTrace(Model):
    """One loss. Each list is on draws of its own, by which its numbers differ from those of another one."""

    candidate_id: UUID
    name: str
    tried: list[FrontierPoint]
    """Each setting of its tuning on the draws that all have had, as a rule one; empty of a library's loss that came
    with its settings."""
    tuned: list[FrontierPoint]
    """Those that were tried on more draws, on all of these."""
    screen: list[FrontierPoint]
    confirm: list[FrontierPoint]


class Frontier(Model):
    arena: str
    earned: str
    """reward or score."""
    loss: FrontierTrace
    against: str
    reference: FrontierTrace | None
    """Those of the family's reference in the same campaign."""
