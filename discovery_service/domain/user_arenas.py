"""An operator's own arena: the file that describes it, in TRL's words where TRL has them, and the document made of it.

Paths and the content behind them are found where the files are; here nothing is opened.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from discovery_service.domain.arenas import ARENAS, BUILDERS, VERSION, ArenaKind
from discovery_service.domain.campaign import ARENA_NAME, Strict, Text, example
from discovery_service.domain.families import Family
from discovery_service.domain.worlds import Precision, Schedule

EXAMPLE_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
EXAMPLE: dict[str, Any] = {
    "name": "support",
    "family": "pairwise",
    "model_name_or_path": ["/srv/models/small-chat"],
    "data": "/srv/data/support.jsonl",
    "use_peft": True,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_target_modules": ["q_proj", "v_proj"],
    "beta": 0.1,
    "learning_rate": 1e-5,
    "max_steps": 200,
    "per_device_train_batch_size": 8,
    "evaluation": {
        "held_out": 0.1,
        "prompts": 64,
        "max_new_tokens": 64,
        "scorer": {"kind": "function", "function": "my_package.scoring:politeness"},
    },
    "counts": "score",
}
EXAMPLE_CONTENTS: dict[str, Any] = {
    "models_sha256": [EXAMPLE_SHA256],
    "data_sha256": EXAMPLE_SHA256,
    "scorer_sha256": EXAMPLE_SHA256,
}

Path = Annotated[Text, Field(min_length=1, max_length=1000)]
Sha256 = Annotated[Text, Field(pattern=r"^[0-9a-f]{64}$")]
Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class FunctionScorer(Strict):
    """The operator's own `function(prompt, completion) -> float`, imported because an operator registered it."""

    model_config = example(kind="function", function="my_package.scoring:politeness")

    kind: Literal["function"]
    function: Text = Field(max_length=200)

    @field_validator("function")
    @classmethod
    def names_a_function(cls, value: str) -> str:
        module, separator, name = value.partition(":")
        if not separator or not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
            raise PydanticCustomError("no_function", "must be MODULE:FUNCTION, such as my_package.scoring:politeness")
        return value


class RegexScorer(Strict):
    """1 where the pattern is found in the completion, else 0."""

    model_config = example(kind="regex", pattern=r"\bplease\b")

    kind: Literal["regex"]
    pattern: Text = Field(min_length=1, max_length=1000)

    @field_validator("pattern")
    @classmethod
    def can_be_compiled(cls, value: str) -> str:
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            raise PydanticCustomError(
                "no_pattern", "is no regular expression: {error}", {"error": str(error)}
            ) from error
        return value


class LengthScorer(Strict):
    """Minus the number of words by which a completion misses a length."""

    model_config = example(kind="length", words=40)

    kind: Literal["length"]
    words: int = Field(ge=0, le=100_000)


def _read_scorer(value: Any) -> Any:
    """`my_package.module:function` is short for a scorer of the kind function."""
    return {"kind": "function", "function": value} if isinstance(value, str) else value


Scorer = Annotated[
    Annotated[FunctionScorer | RegexScorer | LengthScorer, Field(discriminator="kind")],
    BeforeValidator(_read_scorer),
]


class EvaluationPlan(Strict):
    model_config = example(**EXAMPLE["evaluation"])

    held_out: float = Field(default=0.1, gt=0, le=0.5, allow_inf_nan=False)
    """Share of the rows that a draw does not train on."""
    prompts: int = Field(default=128, ge=1, le=10_000)
    """On how many of the held-out prompts, at most, the policy is sampled."""
    max_new_tokens: int = Field(default=128, ge=1, le=8192)
    """Also of answers that are sampled to be trained on: the policy's own (matching), the base policy's (outcome)."""
    scorer: Scorer | None = None
    kl_weight: float = Field(default=1.0, ge=0, le=1e6, allow_inf_nan=False)
    """J is the mean score less this times the KL to the reference."""


def _is_free(name: str) -> str:
    if name in ARENAS:
        raise PydanticCustomError("built_in_arena", "is a built-in arena; take another name")
    return name


_GENERATIONS = 8
"""As TRL's GRPOConfig has it."""
_METRICS: Mapping[Family, tuple[str, ...]] = {
    Family.PAIRWISE: ("accuracy", "score", "J"),
    Family.AUXILIARY: ("accuracy", "score", "J"),
    Family.OUTCOME: ("value", "score", "J"),
    Family.MATCHING: ("score", "J"),
}
"""By which losses may be compared."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _unwrap_all_linear(value: Any) -> Any:
    """TRL takes the word out of its list too. Another one it would make a pattern of, which a lone name is not."""
    return value[0] if value == ["all-linear"] else value


class UserArena(Strict):
    """A field that TRL's ModelConfig or DPOConfig has too means the same here, with the same default but for `bf16`."""

    model_config = example(**EXAMPLE)

    name: Annotated[Text, AfterValidator(_is_free), Field(max_length=60, pattern=f"^{ARENA_NAME}$")]
    family: Annotated[Family, Field(strict=False)] = Family.PAIRWISE
    model_name_or_path: Annotated[list[Path], BeforeValidator(_as_list), Field(min_length=1, max_length=8)]
    """Folders of the base policies: one, or several of one architecture; a confirmation wants three."""
    data: Path
    """JSONL of preferences: `prompt`, `chosen`, `rejected` as texts or as messages, and `annotator` where known; of the
    family auxiliary also `chosen_aux` and `rejected_aux`, the higher the better, best between -1 and 1. Of the family
    outcome `prompt`, `completion`, `outcome`, the higher the better, and `propensity` or `behavior_logp`: how likely
    the completion was given, with the end-of-sequence token behind it. Of the family matching `prompt` alone."""
    use_peft: bool = False
    """Trains a LoRA adapter instead of all weights."""
    lora_r: int = Field(default=16, ge=1, le=4096)
    lora_alpha: int = Field(default=32, ge=1, le=65_536)
    lora_target_modules: Annotated[
        Text | Annotated[list[Text], Field(min_length=1, max_length=64)] | None, AfterValidator(_unwrap_all_linear)
    ] = None
    """What carries the adapter: what names of modules end with, or as one text a regular expression for whole names, as
    PEFT reads it. `all-linear` is every linear layer; absent, it is what PEFT knows of the architecture."""
    beta: float = Field(default=0.1, gt=0, le=1e6, allow_inf_nan=False)
    learning_rate: Rate = 1e-6
    max_steps: int = Field(ge=1, le=100_000)
    """With `beta` and `learning_rate` the setting from which tuning starts."""
    per_device_train_batch_size: int = Field(default=8, ge=2, le=4096)
    """Rows a step; of the family matching answers, `num_generations` of them to a prompt."""
    num_generations: int | None = Field(default=None, ge=2, le=4096)
    """Of the family matching, and there 8 unless given: how many answers a prompt gets."""
    max_length: int = Field(default=1024, ge=2, le=1_000_000)
    """Tokens of prompt and completion; a row that is longer is refused, not cut. Answers that are sampled to be trained
    on count as long as they may be."""
    lr_scheduler_type: Annotated[Schedule, Field(strict=False)] = Schedule.LINEAR
    warmup_steps: int = Field(default=0, ge=0, le=100_000)
    max_grad_norm: float = Field(default=1.0, gt=0, le=1e6, allow_inf_nan=False)
    adam_beta1: float = Field(default=0.9, ge=0, lt=1, allow_inf_nan=False)
    adam_beta2: float = Field(default=0.999, ge=0, lt=1, allow_inf_nan=False)
    bf16: bool = False
    """Computes in bfloat16; what is trained stays in float32."""
    evaluation: EvaluationPlan = EvaluationPlan()
    counts: Literal["accuracy", "value", "score", "J"]
    """The metric by which losses are compared: the others are shown beside it."""

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        lora = sorted(name for name in self.model_fields_set if name.startswith("lora_"))
        if lora and not self.use_peft:
            raise PydanticCustomError(
                "lora_without_peft", "says {fields} but not `use_peft: true`", {"fields": ", ".join(lora)}
            )
        if self.lr_scheduler_type is Schedule.CONSTANT and self.warmup_steps:
            raise PydanticCustomError(
                "no_warmup",
                "says warmup_steps, which lr_scheduler_type constant does not have, as in transformers",
            )
        if self.counts not in _METRICS[self.family]:
            raise PydanticCustomError(
                "no_such_metric",
                "counts {counts}, which the family {family} does not have",
                {"counts": self.counts, "family": self.family.value},
            )
        self._fits_groups()
        if self.counts in ("score", "J") and self.evaluation.scorer is None:
            raise PydanticCustomError(
                "no_scorer", "counts {counts}, which needs `evaluation.scorer`", {"counts": self.counts}
            )
        return self

    def _fits_groups(self) -> None:
        if self.family is not Family.MATCHING:
            if self.num_generations is not None:
                raise PydanticCustomError("no_groups", "says num_generations, which only the family matching has")
        elif self.per_device_train_batch_size % self.group:
            raise PydanticCustomError(
                "broken_group",
                "per_device_train_batch_size, {batch}, is no multiple of num_generations, {group}{unless}",
                {
                    "batch": self.per_device_train_batch_size,
                    "group": self.group,
                    "unless": "" if self.num_generations else " unless given",
                },
            )

    @property
    def group(self) -> int:
        """Answers of the policy to a prompt; 1 where it does not answer itself."""
        return 1 if self.family is not Family.MATCHING else self.num_generations or _GENERATIONS


class Contents(Strict):
    """What was in the files when the arena was registered: others make another arena."""

    model_config = example(**EXAMPLE_CONTENTS)

    models_sha256: list[Sha256] = Field(min_length=1, max_length=8)
    data_sha256: Sha256
    scorer_sha256: Sha256 | None = None
    """Of all sources of the package that the scorer's function stands in."""


def make_document(arena: UserArena, contents: Contents) -> dict[str, Any]:
    """All that decides what a training in it measures; what a runtime builds it from.

    ValueError when the contents are not of this arena.
    """
    if len(contents.models_sha256) != len(arena.model_name_or_path):
        raise ValueError("there has to be one digest for each model")
    plan = arena.evaluation
    if isinstance(plan.scorer, FunctionScorer) != (contents.scorer_sha256 is not None):
        raise ValueError("there has to be a digest of the scorer's package where a function scores, and only there")
    models = zip(arena.model_name_or_path, contents.models_sha256, strict=True)
    scorer = None if plan.scorer is None else plan.scorer.model_dump() | {"sha256": contents.scorer_sha256}
    return {
        "version": VERSION,
        "builders": dict(BUILDERS[ArenaKind.HF][arena.family]),
        "kind": ArenaKind.HF.value,
        "name": arena.name,
        "family": arena.family.value,
        "models": [{"path": path, "sha256": sha256} for path, sha256 in models],
        "data": {"path": arena.data, "sha256": contents.data_sha256},
        "lora": _lora_of(arena),
        "recipe": {
            "batch": arena.per_device_train_batch_size,
            "max_length": arena.max_length,
            "warm_up": arena.warmup_steps,
            "warm_up_from": 0,
            "schedule": arena.lr_scheduler_type.value,
            "clip": arena.max_grad_norm,
            "adam_betas": [arena.adam_beta1, arena.adam_beta2],
            "precision": (Precision.BFLOAT16 if arena.bf16 else Precision.FLOAT32).value,
            **({"group": arena.group} if arena.family is Family.MATCHING else {}),
        },
        "setting": {"beta": arena.beta, "learning_rate": arena.learning_rate, "steps": arena.max_steps},
        "evaluation": plan.model_dump(exclude={"scorer"}) | {"scorer": scorer},
        "counts": arena.counts,
    }


def _lora_of(arena: UserArena) -> dict[str, Any] | None:
    if not arena.use_peft:
        return None
    return {"r": arena.lora_r, "alpha": arena.lora_alpha, "target_modules": arena.lora_target_modules}


def counted_metric(document: Mapping[str, Any]) -> str:
    """By which losses are compared in the arena of the document: J, unless an operator names another."""
    return str(document.get("counts", "J"))
