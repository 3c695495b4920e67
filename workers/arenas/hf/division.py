"""How a draw divides the rows of a file: those to train on, those held out, and the prompts that are sampled from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from discovery_service.domain.measuring import Draw, Stream
from workers.arenas.hf.tokenising import Pair

Item = TypeVar("Item")


@dataclass(frozen=True)
class Division:
    """By place in the list of rows."""

    trained: list[int]
    held_out: list[int]
    prompted: list[int]
    """Held-out rows with prompts that are all different."""


def divide(pairs: Sequence[Pair], draw: Draw, *, held_out: float, prompts: int, batch: int) -> Division:
    """Rows of one prompt stay together, so that no prompt is known from training. The salt of a placebo changes none
    of it: its pairs are the file's.

    ValueError where too few rows are left to train on.
    """
    groups: dict[bytes, list[int]] = {}
    for row, pair in enumerate(pairs):
        groups.setdefault(pair.asked.numpy().tobytes(), []).append(row)
    shuffled = _shuffle(list(groups.values()), draw.seed(Stream.HELD_OUT_PROMPTS))
    wanted = max(1, round(held_out * len(pairs)))
    aside: list[list[int]] = []
    while shuffled and sum(map(len, aside)) < wanted:
        aside.append(shuffled.pop())
    trained = sorted(row for group in shuffled for row in group)
    if len(trained) < batch:
        raise ValueError(
            f"A draw leaves {len(trained)} rows to train on, fewer than a batch of {batch}: more rows with prompts of"
            " their own are needed, or a smaller per_device_train_batch_size."
        )
    asked = _shuffle([group[0] for group in aside], draw.seed(Stream.EVALUATION_PROMPTS))
    return Division(
        trained=trained,
        held_out=sorted(row for group in aside for row in group),
        prompted=sorted(asked[:prompts]),
    )


def _shuffle(items: list[Item], seed: int) -> list[Item]:
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))
    return [items[place] for place in order.tolist()]
