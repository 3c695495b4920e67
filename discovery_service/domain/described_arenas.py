"""An arena as it is shown: by the API, and by commands that need no server for the built-in ones."""

from collections.abc import Mapping
from typing import Any

from discovery_service.domain.arenas import ArenaKind, ArenaSpec, find_arena, hash_document, tell_reward
from discovery_service.domain.calibration import describe_agreement, is_without_spread
from discovery_service.domain.measuring import Setting
from discovery_service.domain.published import find_calibration
from discovery_service.domain.user_arenas import counted_metric
from discovery_service.domain.worlds import ArenaSize

_STARTS = {ArenaSize.MINI: Setting(1.0, 1.5e-3, 120), ArenaSize.BASE: Setting(1.0, 1e-3, 120)}


def describe_built_in(name: str) -> dict[str, Any] | None:
    """The built-in arena `NAME:SIZE`, or None."""
    spec = find_arena(name)
    if spec is None:
        return None
    document = spec.document(ArenaSize(name.partition(":")[2]))
    calibration = _find_calibration(spec, name)
    return {
        "name": name,
        "kind": ArenaKind.SYNTHETIC.value,
        "family": spec.family.value,
        "summary": spec.summary,
        "offers": [way.value for way in spec.offers],
        "is_control": spec.is_control or _is_without_spread(calibration) or False,
        "reward": tell_reward(spec.family),
        "counts": counted_metric(document),
        "content_sha256": hash_document(document),
        "document": document,
        "calibration": calibration,
    }


def describe_operators(document: Mapping[str, Any], calibration: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What an operator registered. What a loss can win in it, nobody knows; at most that known ones win nothing."""
    content_sha256 = hash_document(document)
    return {
        "name": pinned_name(document["name"], content_sha256),
        "kind": ArenaKind.HF.value,
        "family": document["family"],
        "summary": None,
        "offers": None,
        "is_control": _is_without_spread(calibration),
        "reward": None,
        "counts": counted_metric(document),
        "content_sha256": content_sha256,
        "document": dict(document),
        "calibration": calibration,
    }


def _find_calibration(spec: ArenaSpec, name: str) -> dict[str, Any] | None:
    """What is published of it; with a library in both sizes also how far they agree, as mini stands for base."""
    entries = {f"{spec.name}:{size}": find_calibration(hash_document(spec.document(size))) for size in spec.recipes}
    libraries = {each: entry["library"] for each, entry in entries.items() if entry and "library" in entry}
    found = entries.pop(name)
    if found is None or len(libraries) < 2:
        return found
    (other,) = entries
    return {**found, "agreement": describe_agreement(other, libraries[name], libraries[other])}


def _is_without_spread(calibration: Mapping[str, Any] | None) -> bool | None:
    """True where no tuned loss can be told from another; else nobody knows."""
    return True if calibration and "library" in calibration and is_without_spread(calibration["library"]) else None


def find_start(document: Mapping[str, Any]) -> Setting:
    """Of the arena: the setting that is tried where nobody names one."""
    if "setting" in document:
        return Setting(**document["setting"])
    return _STARTS[ArenaSize(document["name"].partition(":")[2])]


def pinned_name(name: str, content_sha256: str) -> str:
    """This very version of an operator's arena, as a campaign may name it."""
    return f"{name}@{content_sha256[:12]}"
