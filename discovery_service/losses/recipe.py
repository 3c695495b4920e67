"""The setting in which a loss was evaluated, as a file of fields that TRL has, and what is not said by it."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from discovery_service.domain.arenas import ArenaKind
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.worlds import Precision
from discovery_service.losses.export_words import clean
from discovery_service.losses.exported import Evaluated, Facts, Origin

_WIDTH = 100
_SAME = {
    "batch": "per_device_train_batch_size",
    "schedule": "lr_scheduler_type",
    "warm_up": "warmup_steps",
    "clip": "max_grad_norm",
    "max_length": "max_length",
}
"""What an arena's recipe calls otherwise than TRL."""


def write_recipe(facts: Facts, origin: Origin) -> str:
    """By the names of TRL's DPOConfig and ModelConfig, as the recipes of the alignment handbook have them."""
    evaluated = next((each for each in facts.evaluated if each.is_search_arena), None)
    parts = [*_comment(_tell(facts, evaluated, origin.search_arena)), ""]
    if evaluated is not None:
        setting = evaluated.setting
        fields = {"beta": setting.beta, "learning_rate": setting.learning_rate, "max_steps": setting.steps}
        parts += [yaml.safe_dump(fields, sort_keys=False)]
    parts += [*_comment("How the arena trains beside that."), *_dump(_fields_of(origin.search_arena)), ""]
    parts += [*_comment("An arena's draws are no seeds of TRL's: take several, for one run shows little.")]
    parts += [*_dump({"seed": 42}), ""]
    if facts.family is Family.PAIRWISE:
        parts += [*_comment("trl_adapter.py reads the reference from the rows; loss_type has no say there.")]
        parts += [*_dump({"precompute_ref_log_probs": True}), ""]
    return "\n".join([*parts, *_dump({"output_dir": "discovered_loss"})]) + "\n"


def _tell(facts: Facts, evaluated: Evaluated | None, arena: Mapping[str, Any]) -> str:
    where = evaluated.arena if evaluated is not None else arena["name"]
    if evaluated is None:
        told = f"{facts.name} was never screened: no beta, learning rate or number of steps is known to suit it."
    else:
        stage = "confirmed" if evaluated.has_verdict else "trained" if evaluated.is_confirmation else "screened"
        told = f"The setting with which {facts.name} was {stage} in {where}: tuning there chose it."
    if arena.get("kind") == ArenaKind.HF:
        return f"{told} It holds for the operator's model and rows there, and is a start for others at best: tune anew."
    reference = "DPO" if facts.family is Family.PAIRWISE else REFERENCE_LOSSES[facts.family]
    return (
        f"{told} {where} trains a language model of some ten thousand weights on made-up texts: this is NO"
        " recommendation for a real model, where a learning rate is usually a hundredth to a thousandth of it and beta"
        f" has another optimum. Tune both for the loss and for {reference} alike, with the same number of trainings."
    )


def _fields_of(arena: Mapping[str, Any]) -> dict[str, Any]:
    recipe = arena.get("recipe", {})
    fields = {theirs: recipe[ours] for ours, theirs in _SAME.items() if ours in recipe}
    fields |= dict(zip(("adam_beta1", "adam_beta2"), recipe.get("adam_betas", ()), strict=False))
    fields["bf16"] = recipe.get("precision") == Precision.BFLOAT16
    if (lora := arena.get("lora")) is not None:
        targets = {} if lora["target_modules"] is None else {"lora_target_modules": lora["target_modules"]}
        fields |= {"use_peft": True, "lora_r": lora["r"], "lora_alpha": lora["alpha"], **targets}
    return fields


def _dump(fields: Mapping[str, Any]) -> list[str]:
    return yaml.safe_dump(dict(fields), sort_keys=False).splitlines()


def _comment(text: str) -> Iterator[str]:
    # A name may hold what YAML takes for the end of a line.
    lines = textwrap.wrap(clean(text), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return (f"# {line}" for line in lines)
