"""What a bundle says of its loss to a program: who proposed it, where it was measured, and against what."""

import ast
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from discovery_service.domain.authors import Author
from discovery_service.losses.export import CONTRACT_VERSION, Module
from discovery_service.losses.export_words import NO_DISCOVERY, tell_shown
from discovery_service.losses.exported import Evaluated, Facts, Met, Origin
from discovery_service.version import VERSION

_HELD_OR_ROUNDED = frozenset(
    {"detach", "no_grad", "float", "half", "bfloat16", "float32", "float16", "type", "int", "long"}
)
"""Names of what finite differences would take for a wrong gradient."""


def describe_provenance(facts: Facts, origin: Origin, module: Module, *, trl: str | None) -> dict[str, Any]:
    """`trl` are the versions with which the bundle's adapter works; None where it has none."""
    return {
        "bundle_version": 1,
        "name": facts.name,
        "family": facts.family.value,
        "entry": module.entry,
        "asks_for": list(module.asked),
        "hyperparameters": {each.name: each.value for each in module.checked.hyperparameters},
        "formula": facts.formula,
        "contract_version": CONTRACT_VERSION,
        "graph_sha256": facts.graph_sha256,
        "torch_version": facts.torch_version,
        "service_version": VERSION,
        "is_confirmed": facts.is_confirmed,
        "shown": tell_shown(facts) if facts.is_confirmed else f"{tell_shown(facts)} {NO_DISCOVERY}",
        "proposed": {
            "by": facts.author.value,
            "model": facts.model,
            "is_recorded": facts.author is Author.RECORDED,
            "parents": [asdict(each) for each in origin.parents],
        },
        "known_as": list(facts.known_as),
        "candidate_id": origin.candidate_id,
        "proposal_id": origin.proposal_id,
        "campaign": {
            "id": origin.campaign_id,
            "name": facts.campaign,
            "library": list(origin.library),
            "candidates": {"accepted": origin.accepted, "refused": origin.refused},
        },
        "evaluated": [_describe_evaluated(each) for each in facts.evaluated],
        "tuned": None if facts.tuned is None else asdict(facts.tuned),
        "passport": dict(facts.passport),
        "is_executed": facts.is_executed,
        "checks": {
            "row_independence": not facts.passport["is_batch_coupled"],
            "finite_differences": _find_names(module.checked.text).isdisjoint(_HELD_OR_ROUNDED),
        },
        "trl": {"adapter": trl is not None, "versions": trl},
    }


def _describe_evaluated(each: Evaluated) -> dict[str, Any]:
    return {
        "arena": each.arena,
        "arena_sha256": each.arena_sha256,
        "is_search_arena": each.is_search_arena,
        "stage": "confirm" if each.is_confirmation else "screen",
        "counts": each.counts,
        "setting": each.setting.document(),
        "draws": each.draws,
        "failed": each.failed,
        "base_policies": list(each.base_policies),
        "against": [_describe_met(met) for met in each.met],
        "confirmed_before": [_describe_met(met) for met in each.before],
        "means": {name: asdict(mean) for name, mean in (each.means or {}).items()},
    }


def _describe_met(met: Met) -> Mapping[str, Any]:
    told = {"name": met.against, **asdict(met.difference), "level": met.level, "verdict": met.verdict}
    return {**told, "not_better_under": list(met.not_better_under)}


def _find_names(source: str) -> set[str]:
    tree = ast.parse(source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
