"""The spec of a campaign: what a user asks for, validated field by field, in words that say what is allowed."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from discovery_service.domain.arenas import ARENAS, arena_names, find_arena
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES, REFERENCE_LOSSES
from discovery_service.domain.worlds import ArenaSize

MAX_COUNT = 1_000_000_000
"""Above any budget that a person means, below what the database's integers hold."""


def refuse_unstorable(value: str) -> str:
    """PostgreSQL stores neither NUL nor lone surrogates; better a 422 here than an error from the database."""
    if "\x00" in value:
        raise PydanticCustomError("nul_character", "may not contain the character NUL (U+0000)")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise PydanticCustomError("lone_surrogate", "may not contain half of a surrogate pair")
    return value


def refuse_unprintable(value: str) -> str:
    """A name is shown everywhere, also to terminals, which take some characters for commands."""
    if not value.isprintable():
        raise PydanticCustomError("unprintable", "may not contain characters that cannot be seen, as line breaks")
    return value


# The pattern tells a reader of the OpenAPI document; the validator says it in words.
Text = Annotated[str, AfterValidator(refuse_unstorable), Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})]
Name = Annotated[Text, AfterValidator(refuse_unprintable), Field(min_length=1, max_length=200)]
Notes = Annotated[Text, Field(max_length=20_000)]
Guidance = Annotated[Text, Field(max_length=8_000)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Amount = Annotated[float, Field(ge=0, le=MAX_COUNT, allow_inf_nan=False)]


MAX_ERRORS = 20
"""More of them help nobody, and 70,000 unknown keys made an answer of 13 MB."""


class Strict(BaseModel):
    """An unknown key is an error, never ignored: a misspelt budget must not become an unlimited one.

    Nor is a type guessed: `true` is no seed. Enums are the exception, since JSON has none.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="wrap")
    @classmethod
    def tell_what_is_allowed(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            errors = error.errors(include_url=False)[:MAX_ERRORS]
            told = [_told(each, ", ".join(cls.model_fields)) for each in errors]
            raise ValidationError.from_exception_data(cls.__name__, told) from error


def example(**fields: Any) -> ConfigDict:
    """For the OpenAPI document: an instance as a user would write it."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


def _told(error: ErrorDetails, allowed: str) -> InitErrorDetails:
    facts = error.get("ctx", {})  # none where an inner model has told it already
    match error["type"]:
        case "extra_forbidden" if len(error["loc"]) == 1:
            message = f"is no field here; there are {allowed}"
        case "string_too_short" | "too_short" if facts.get("min_length") == 1:
            message = "must not be empty"
        case "union_tag_invalid" if "expected_tags" in facts:
            message = f"is of a kind that does not exist; there are {facts['expected_tags']}"
        case _:
            message = error["msg"]
    told = PydanticCustomError(error["type"], "{message}", {"message": message})
    return InitErrorDetails(type=told, loc=error["loc"], input=error["input"])


ARENA_NAME = "[a-z0-9][a-z0-9._-]*"
"""Of an operator's arena; a built-in one's has a colon before its size."""
_NAMES_AN_OPERATORS = re.compile(f"{ARENA_NAME}(@[0-9a-f]{{12}})?")


def normalise_arena(value: str) -> str:
    """`panel` is short for `panel:mini`. Whether there is an operator's arena of a name, only the database knows."""
    name = f"{value}:{ArenaSize.MINI}" if value in ARENAS else value
    if find_arena(name) is None and not _NAMES_AN_OPERATORS.fullmatch(name):
        raise PydanticCustomError("unknown_arena", "{message}", {"message": tell_arenas(arena_names())})
    return name


def tell_arenas(names: Iterable[str]) -> str:
    """To whoever named one that there is not."""
    return f"names no arena; there are {', '.join(names)}"


ArenaName = Annotated[
    str,
    AfterValidator(normalise_arena),
    Field(max_length=100, json_schema_extra={"examples": arena_names()}),
]


class StrategyName(StrEnum):
    EVOLVE = "evolve"
    DISCOPOP = "discopop"
    BEST_OF_N = "best_of_n"
    BLIND = "blind"


class Strategy(Strict):
    model_config = example(name="evolve", round_size=4, max_open_rounds=2)

    name: Annotated[StrategyName, Field(strict=False)] = StrategyName.EVOLVE
    round_size: int = Field(default=4, ge=1, le=64)
    """Proposals made from one snapshot of the archive."""
    max_open_rounds: int = Field(default=2, ge=1, le=8)
    """Rounds overlap so that the model's latency hides behind training."""


class ModelWeight(Strict):
    model_config = example(model="gpt-5-mini", weight=1.0)

    model: Text = Field(min_length=1, max_length=200)
    weight: float = Field(default=1.0, gt=0, le=1e6, allow_inf_nan=False)


class Share(Strict):
    share: float = Field(default=1.0, gt=0, le=1e6, allow_inf_nan=False)
    """Part of the proposals, relative to the other proposers' shares."""


class LlmProposer(Share):
    model_config = example(kind="llm", share=3.0, models=[{"model": "gpt-5-mini", "weight": 1.0}])

    kind: Literal["llm"]
    models: list[ModelWeight] = Field(min_length=1, max_length=16)


class RecordedProposer(Share):
    model_config = example(kind="recorded", share=1.0)

    kind: Literal["recorded"]


class SymbolicProposer(Share):
    model_config = example(kind="symbolic", share=1.0)

    kind: Literal["symbolic"]


Proposer = Annotated[LlmProposer | RecordedProposer | SymbolicProposer, Field(discriminator="kind")]


class Tuning(Strict):
    model_config = example(screen_draws=3)

    screen_draws: int = Field(default=3, ge=2, le=12)
    """Draws of the screen; the settings to try are the arena's own plan, the same for every loss."""


class Confirmation(Strict):
    model_config = example(finalists=3, detect=0.2, min_draws=12)

    finalists: int = Field(default=3, ge=1, le=3)
    detect: float = Field(default=0.2, gt=0, le=10, allow_inf_nan=False)
    """Draws are added until a difference of this many units of J would be found with 80 % power."""
    min_draws: int = Field(default=12, ge=9, le=60, multiple_of=3)
    """Spread evenly over three base policies."""


EXAMPLE_BUDGETS: dict[str, Any] = {
    "candidates": 24,
    "evaluations": 2000,
    "tokens": 500_000,
    "cost_usd": 5.0,
    "device_seconds": 7200.0,
    "wall_time_s": 3600.0,
    "target": 0.3,
    "patience": 3,
}


class Budgets(Strict):
    model_config = example(**EXAMPLE_BUDGETS)

    """Hard stops. An absent one does not bind."""

    candidates: int = Field(default=12, ge=1, le=MAX_COUNT)
    evaluations: Count | None = None
    tokens: Count | None = None
    cost_usd: Amount | None = None
    device_seconds: Amount | None = None
    wall_time_s: Amount | None = None
    target: float | None = Field(default=None, ge=-1e6, le=1e6, allow_inf_nan=False)
    """Stop once a screened lower bound of the difference to DPO reaches this."""
    patience: int | None = Field(default=None, ge=1, le=1_000)
    """Stop after this many closed rounds without a better lower bound."""


class CampaignSpec(Strict):
    model_config = example(
        family="pairwise",
        arena="panel:mini",
        held_out_arenas=["fog:mini"],
        budgets=EXAMPLE_BUDGETS,
        isolation="full",
        seed=1,
    )

    family: Annotated[Family, Field(strict=False)] = Family.PAIRWISE
    arena: ArenaName
    """Where the search happens; one a campaign."""
    held_out_arenas: list[ArenaName] = Field(default=[], max_length=8)
    library: Literal["all"] | list[Annotated[Text, Field(max_length=100)]] = "all"
    """The known losses of this campaign: in prompts, in the twin search, among the references."""
    strategy: Strategy = Strategy()
    proposers: list[Proposer] = Field(default=[SymbolicProposer(kind="symbolic")], min_length=1, max_length=8)
    tuning: Tuning = Tuning()
    confirmation: Confirmation = Confirmation()
    budgets: Budgets = Budgets()
    isolation: Literal["full", "seccomp"] | None = None
    """The weakest lock under which its candidates are compiled; absent, what each gate worker demands of itself."""
    seed: int = Field(default=0, ge=0, le=2**53)
    guidance: Guidance = ""
    """Free text that goes into every prompt."""

    @property
    def reference(self) -> str:
        """The known loss that everything is compared with."""
        return REFERENCE_LOSSES[self.family]

    @field_validator("proposers")
    @classmethod
    def one_of_a_kind(cls, value: list[Proposer]) -> list[Proposer]:
        kinds = [proposer.kind for proposer in value]
        if len(set(kinds)) < len(kinds):
            raise PydanticCustomError("repeated_proposer", "names a kind of proposer twice; give it one share")
        return value

    @field_validator("arena")
    @classmethod
    def arena_fits_family(cls, value: str, info: ValidationInfo) -> str:
        return _of_family(value, info)

    @field_validator("held_out_arenas")
    @classmethod
    def held_out_arenas_fit(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if len({info.data.get("arena"), *value}) <= len(value):
            raise PydanticCustomError("repeated_arena", "names an arena twice; a held-out one must be fresh")
        return [_of_family(name, info) for name in value]

    @field_validator("library")
    @classmethod
    def library_is_known(cls, value: Literal["all"] | list[str], info: ValidationInfo) -> Literal["all"] | list[str]:
        family = info.data.get("family")
        if value == "all" or family is None:
            return value
        allowed = KNOWN_LOSSES[family]
        unknown = [name for name in value if name not in allowed]
        if unknown:
            raise PydanticCustomError(
                "unknown_loss",
                "names no loss of the family {family}: {unknown}; there are {allowed}",
                {"family": family.value, "unknown": ", ".join(unknown), "allowed": ", ".join(allowed) or "none"},
            )
        if (reference := REFERENCE_LOSSES[family]) not in value:
            raise PydanticCustomError(
                "no_reference", "must hold {reference}, which everything is compared with", {"reference": reference}
            )
        return value


def _of_family(name: str, info: ValidationInfo) -> str:
    arena, family = find_arena(name), info.data.get("family")
    if arena is None or family is None or arena.family == family:
        return name
    message = tell_arenas_of(family, name, arena_names(family))
    raise PydanticCustomError("arena_of_another_family", "{message}", {"message": message})


def tell_arenas_of(family: Family, name: str, names: Iterable[str]) -> str:
    """To whoever named an arena of another family."""
    return f"{name} is not of the family {family}; of that family there are {', '.join(names) or 'none'}"
