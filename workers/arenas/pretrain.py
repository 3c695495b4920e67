"""Makes the base policies that ship with the package: `python -m workers.arenas.pretrain`.

One for each size, way of ending and number; what is there already stays. A minute of one core each at size base.
"""

import argparse
import json
from collections.abc import Iterator

import torch

from discovery_service.domain.arenas import ARENAS, BASE_POLICIES, RECIPES, ArenaSize
from workers.arenas.cache import hash_recipe, hash_tensors, write_tensors
from workers.arenas.language import find_cross_entropy, pretrain
from workers.arenas.policies import describe_policy, find_weights, list_shipped, shipped_directory
from workers.arenas.texts import make_texts

_FRESH_TEXTS, _FRESH_SEED = 4096, 9_000


def list_wanted() -> Iterator[tuple[ArenaSize, float, int]]:
    for size in ArenaSize:
        for p_stop in sorted({arena.world.p_stop for arena in ARENAS.values()}):
            for base_policy in BASE_POLICIES:
                yield size, p_stop, base_policy


def make_policy(size: ArenaSize, p_stop: float, base_policy: int) -> None:
    described = describe_policy(RECIPES[size], p_stop, base_policy)
    model = pretrain(RECIPES[size], p_stop, base_policy)
    weights = find_weights(model)
    name = f"{size}-stop{p_stop:g}-{base_policy}.safetensors"
    shipped_directory().mkdir(exist_ok=True)
    write_tensors(shipped_directory() / name, weights, described)
    with torch.no_grad():
        loss = float(find_cross_entropy(model, make_texts(_FRESH_TEXTS, _FRESH_SEED, p_stop=p_stop)))
    entry = {"file": name, "sha256": hash_tensors(weights), "cross_entropy": round(loss, 4)}
    list_shipped.cache_clear()
    index = {**list_shipped(), hash_recipe(described): entry}
    (shipped_directory() / "index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    for wanted in list_wanted():
        if hash_recipe(describe_policy(RECIPES[wanted[0]], *wanted[1:])) not in list_shipped():
            make_policy(*wanted)


if __name__ == "__main__":
    main()
