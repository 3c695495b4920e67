"""Makes the base policies that ship with the package: `python -m workers.arenas.pretrain`.

One for each size, number, and way in which texts end or answers are told; what is there already stays. A minute of
one core each at size base.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.arenas import BASE_POLICIES, arena_names, find_document
from discovery_service.domain.worlds import MatchingWorld
from workers.arenas.cache import hash_recipe, hash_tensors, write_tensors
from workers.arenas.language import find_cross_entropy, pretrain
from workers.arenas.policies import describe_policy, describe_speaker, find_weights, list_shipped, shipped_directory
from workers.arenas.regimes import read_document
from workers.arenas.speakers import find_spoken_entropy, make_spoken, pretrain_speaker
from workers.arenas.texts import make_texts

_FRESH_TEXTS, _FRESH_SEED = 4096, 9_000


def list_wanted() -> Iterator[dict[str, Any]]:
    """The arenas' documents, one for each base policies that are alike."""
    known = set()
    for name in arena_names():
        document = find_document(name)
        assert document is not None
        described = hash_recipe(describe_base(document, 0))
        if described not in known:
            known.add(described)
            yield document


def describe_base(document: Mapping[str, Any], base_policy: int) -> dict[str, Any]:
    _, world, recipe = read_document(document)
    if isinstance(world, MatchingWorld):
        return describe_speaker(recipe, world, base_policy)
    return describe_policy(recipe, world.p_stop, base_policy)


def make_policy(document: Mapping[str, Any], base_policy: int) -> None:
    _, world, recipe = read_document(document)
    described, size = describe_base(document, base_policy), document["name"].partition(":")[2]
    if isinstance(world, MatchingWorld):
        model, of = pretrain_speaker(world, recipe, base_policy), "speaker"
        texts = make_spoken(world, base_policy, _FRESH_TEXTS, _FRESH_SEED)
        find_loss: Callable[[Any, Tensor], Tensor] = partial(find_spoken_entropy, world)
    else:
        model, of = pretrain(recipe, world.p_stop, base_policy), f"stop{world.p_stop:g}"
        texts, find_loss = make_texts(_FRESH_TEXTS, _FRESH_SEED, p_stop=world.p_stop), find_cross_entropy
    weights = find_weights(model)
    name = f"{size}-{of}-{base_policy}.safetensors"
    shipped_directory().mkdir(exist_ok=True)
    write_tensors(shipped_directory() / name, weights, described)
    with torch.no_grad():
        loss = float(find_loss(model, texts))
    entry = {"file": name, "sha256": hash_tensors(weights), "cross_entropy": round(loss, 4)}
    list_shipped.cache_clear()
    index = {**list_shipped(), hash_recipe(described): entry}
    (shipped_directory() / "index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    for document in list_wanted():
        for base_policy in BASE_POLICIES:
            if hash_recipe(describe_base(document, base_policy)) not in list_shipped():
                make_policy(document, base_policy)


if __name__ == "__main__":
    main()
