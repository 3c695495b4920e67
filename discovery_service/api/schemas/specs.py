"""A campaign's spec as it was stored: plain types without creation's checks, for what was accepted stays readable.

A field that came later shows its default, a name that is no longer known shows as it is.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from discovery_service.domain import campaign as domain


def complete_example(schema: dict[str, Any], model: type["SpecPart"]) -> None:
    """The example of the model that creation takes, with all its defaults."""
    (example,) = model.stored_as.model_json_schema()["examples"]
    stored = model.stored_as.model_validate(example).model_dump(mode="json")
    schema["examples"] = [model.model_validate(stored).model_dump(mode="json")]


class SpecPart(BaseModel):
    model_config = ConfigDict(json_schema_extra=complete_example)
    stored_as: ClassVar[type[BaseModel]]

    @model_validator(mode="before")
    @classmethod
    def fill_what_came_later(cls, stored: Any) -> Any:
        if not isinstance(stored, dict):
            return stored
        fields = cls.stored_as.model_fields.items()
        absent = [field for name, field in fields if name not in stored and not field.is_required()]
        if not absent:
            return stored
        defaults = cls.stored_as.model_construct().model_dump(mode="json", warnings=False)
        return {**defaults, **stored}


class StrategyRead(SpecPart):
    stored_as = domain.Strategy

    name: str
    round_size: int
    max_open_rounds: int


class ModelWeightRead(SpecPart):
    stored_as = domain.ModelWeight

    model: str
    weight: float


class LlmProposerRead(SpecPart):
    stored_as = domain.LlmProposer

    kind: str
    share: float
    models: list[ModelWeightRead]


class ProposerRead(SpecPart):
    stored_as = domain.SymbolicProposer

    kind: str
    share: float


class TuningRead(SpecPart):
    stored_as = domain.Tuning

    screen_draws: int


class ConfirmationRead(SpecPart):
    stored_as = domain.Confirmation

    finalists: int
    detect: float
    min_draws: int


class BudgetsRead(SpecPart):
    stored_as = domain.Budgets

    candidates: int
    evaluations: int | None
    tokens: int | None
    cost_usd: float | None
    device_seconds: float | None
    wall_time_s: float | None
    target: float | None
    patience: int | None


class CampaignSpecRead(SpecPart):
    stored_as = domain.CampaignSpec

    family: str
    arena: str
    held_out_arenas: list[str]
    library: str | list[str]
    strategy: StrategyRead
    proposers: list[LlmProposerRead | ProposerRead]
    tuning: TuningRead
    confirmation: ConfirmationRead
    budgets: BudgetsRead
    isolation: str | None
    seed: int
    guidance: str
