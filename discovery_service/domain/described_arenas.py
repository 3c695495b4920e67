"""An arena as it is shown: by the API, and by commands that need no server for the built-in ones."""

from collections.abc import Mapping
from typing import Any

from discovery_service.domain.arenas import GOLD_REWARD, ArenaKind, ArenaSize, find_arena, hash_document
from discovery_service.domain.measuring import Setting
from discovery_service.domain.published import find_calibration
from discovery_service.domain.user_arenas import counted_metric

_STARTS = {ArenaSize.MINI: Setting(1.0, 1.5e-3, 120), ArenaSize.BASE: Setting(1.0, 1e-3, 120)}


def describe_built_in(name: str) -> dict[str, Any] | None:
    """The built-in arena `NAME:SIZE`, or None."""
    spec = find_arena(name)
    if spec is None:
        return None
    document = spec.document(ArenaSize(name.partition(":")[2]))
    return {
        "name": name,
        "kind": ArenaKind.SYNTHETIC.value,
        "family": spec.family.value,
        "summary": spec.summary,
        "offers": [way.value for way in spec.offers],
        "is_control": spec.is_control,
        "reward": GOLD_REWARD,
        "counts": counted_metric(document),
        "content_sha256": hash_document(document),
        "document": document,
        "calibration": find_calibration(hash_document(document)),
    }


def describe_operators(document: Mapping[str, Any]) -> dict[str, Any]:
    """What an operator registered. What a loss can win in it, nobody knows."""
    content_sha256 = hash_document(document)
    return {
        "name": pinned_name(document["name"], content_sha256),
        "kind": ArenaKind.HF.value,
        "family": document["family"],
        "summary": None,
        "offers": None,
        "is_control": None,
        "reward": None,
        "counts": counted_metric(document),
        "content_sha256": content_sha256,
        "document": dict(document),
        "calibration": None,
    }


def find_start(document: Mapping[str, Any]) -> Setting:
    """Of the arena: the setting that is tried where nobody names one."""
    if "setting" in document:
        return Setting(**document["setting"])
    return _STARTS[ArenaSize(document["name"].partition(":")[2])]


def pinned_name(name: str, content_sha256: str) -> str:
    """This very version of an operator's arena, as a campaign may name it."""
    return f"{name}@{content_sha256[:12]}"
