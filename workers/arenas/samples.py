"""A few pairs of a synthetic arena as a person reads them, with what each answer is worth and who preferred which."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from workers.arenas.cache import Cache
from workers.arenas.pairs import build_draw
from workers.arenas.policies import load_policy
from workers.arenas.synthetic import read_recipe, read_world
from workers.arenas.texts import score, spell


@dataclass(frozen=True)
class ShownPair:
    chosen: str
    """The prompt, a bar, the answer."""
    rejected: str
    chosen_reward: float
    rejected_reward: float
    annotator: int


def show_pairs(document: Mapping[str, Any], count: int, cache_dir: Path, base_policy: int = 0) -> list[ShownPair]:
    """The same ones each time. They are of no draw that anything is measured on."""
    world, recipe = read_world(document), read_recipe(document)
    model = load_policy(recipe, world.p_stop, base_policy, Cache(cache_dir))
    few = replace(recipe, pairs=count, held_out_pairs=1, evaluation_texts=1)
    made = build_draw(model, world, few, Draw(Purpose.CALIBRATE, "shown"))
    texts = made["texts"].long()
    rewards = score(texts.flatten(0, 1)).view(-1, 2)
    spelt = [spell(text) for text in texts.flatten(0, 1)]
    shown = zip(spelt[::2], spelt[1::2], *rewards.T.tolist(), made["annotator"].tolist(), strict=True)
    return [ShownPair(*each) for each in shown]
