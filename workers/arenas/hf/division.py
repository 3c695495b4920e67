"""How a draw divides the rows of a file: those to train on, those held out, and the prompts that are sampled from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from discovery_service.domain.measuring import Draw, Stream
from workers.arenas.hf.tokenising import Asked

Item = TypeVar("Item")


@dataclass(frozen=True)
class Division:
    """By place in the list of rows."""

    trained: list[int]
    held_out: list[int]
    prompted: list[int]
    """Held-out rows with prompts that are all different."""


def divide(rows: Sequence[Asked], draw: Draw, *, held_out: float, prompts: int, batch: int) -> Division:
    """Rows of one prompt stay together, so that no prompt is known from training. The salt of a placebo changes none
    of it: its pairs are the file's.

    ValueError where too few rows are left to train on.
    """
    shuffled = _shuffle(group_by_prompt(rows), draw.seed(Stream.HELD_OUT_PROMPTS))
    wanted = _count_wanted(len(rows), held_out)
    aside: list[list[int]] = []
    while shuffled and sum(map(len, aside)) < wanted:
        aside.append(shuffled.pop())
    trained = sorted(row for group in shuffled for row in group)
    _check("A draw leaves", len(trained), batch)
    asked = _shuffle([group[0] for group in aside], draw.seed(Stream.EVALUATION_PROMPTS))
    return Division(
        trained=trained,
        held_out=sorted(row for group in aside for row in group),
        prompted=sorted(asked[:prompts]),
    )


def check_every_draw(rows: Sequence[Asked], *, held_out: float, batch: int) -> None:
    """ValueError where some draw would leave too few rows to train on.

    It holds out as many as it can where the largest group comes last, after as many of the others as stay below what is
    wanted.
    """
    *others, largest = sorted(map(len, group_by_prompt(rows)))
    wanted = _count_wanted(len(rows), held_out)
    sums = 1  # bit n stands for groups that together have n rows
    for size in others:
        sums |= (sums << size) & ((1 << wanted) - 1)
    _check("A draw may leave", len(rows) - (sums.bit_length() - 1) - largest, batch)


def group_by_prompt(rows: Sequence[Asked]) -> list[list[int]]:
    """Rows by their prompt."""
    groups: dict[bytes, list[int]] = {}
    for row, each in enumerate(rows):
        groups.setdefault(each.asked.numpy().tobytes(), []).append(row)
    return list(groups.values())


def _count_wanted(rows: int, held_out: float) -> int:
    return max(1, round(held_out * rows))


def _check(draw_leaves: str, trained: int, batch: int) -> None:
    if trained < batch:
        raise ValueError(
            f"{draw_leaves} {trained} rows to train on, fewer than a batch of {batch}: more rows with prompts of"
            " their own are needed, or a smaller per_device_train_batch_size."
        )


def _shuffle(items: list[Item], seed: int) -> list[Item]:
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))
    return [items[place] for place in order.tolist()]
