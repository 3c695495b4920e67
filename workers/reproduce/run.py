"""One run of `discovery reproduce`: how many seeds, which lines, the gate, and processes to measure seeds in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from workers.reproduce.arms import Admission
from workers.reproduce.training import Recipe
from workers.supervisor.processors import count_processors

QUICK_SEEDS = 3
MOST_SCREEN_DRAWS = 12
"""Of a campaign."""
Figures = TypeVar("Figures")
Screened = Mapping[str, Mapping[str, Mapping[str, float | None]]]
"""By loss and draw, what a campaign has measured of it at the setting that the arena's plan chose for it."""


class Campaigns(Protocol):
    """The service itself, whose workers tune and train."""

    def screen(self, arena: str, losses: Sequence[str], draws: int, tell: Callable[[float], None]) -> Screened:
        """These losses and their family's reference, on the draws on which every campaign screens."""


@dataclass(frozen=True)
class Run:
    admission: Admission
    campaigns: Campaigns
    seeds: int | None = None
    """Of every paper; each has a number of its own unless given."""
    is_quick: bool = False
    """Three seeds, in some worlds trainings a third as long, and lines half as far."""
    plots: Path | None = None
    """The folder in which pictures go."""
    pool: Executor | None = None
    """None: in this process."""
    tell: Callable[[float], None] = lambda _: None
    """Hears which share of the present paper is done."""

    def count_seeds(self, usual: int) -> int:
        return self.seeds or (QUICK_SEEDS if self.is_quick else usual)

    def recipe_of(self, usual: Recipe) -> Recipe:
        return usual.shortened() if self.is_quick else usual

    def screen(self, arena: str, losses: Sequence[str], usual: int, tell: Callable[[float], None]) -> Screened:
        """By a campaign, on as many draws as seeds are asked for, and no more than a campaign may have."""
        return self.campaigns.screen(arena, losses, min(self.count_seeds(usual), MOST_SCREEN_DRAWS), tell)

    def measure(self, measure_seed: Callable[[int], Figures], seeds: int) -> list[Figures]:
        """Of each seed from 0 on, in their order. What is handed over goes to other processes."""
        if self.pool is None:
            return [self._note((seed + 1) / seeds, _on_one_thread(measure_seed, seed)) for seed in range(seeds)]
        running = {self.pool.submit(measure_seed, seed): seed for seed in range(seeds)}
        for done, each in enumerate(as_completed(running), start=1):
            self._note(done / seeds, each.result())
        return [each.result() for each in running]

    def _note(self, share: float, figures: Figures) -> Figures:
        self.tell(share)
        return figures


@contextmanager
def open_pool() -> Iterator[Executor]:
    """A process for each core, of one thread each, so that a seed gives the same numbers wherever it is measured."""
    cores = count_processors()
    one_thread = partial(torch.set_num_threads, 1)
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _on_one_thread(measure_seed: Callable[[int], Figures], seed: int) -> Figures:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return measure_seed(seed)
    finally:
        torch.set_num_threads(threads)
