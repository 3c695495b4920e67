"""The learning rate of an operator's arena at each step is the one that transformers' own schedules give."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import get_scheduler

from tests.arenas.hf.conftest import describe
from tests.arenas.hf.tiny import write_rows
from workers.runtime.optimisation import Optimisation

STEPS = 12


def find_shares_of_transformers(schedule: str, warm_up: int) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler: Any = get_scheduler(schedule, optimiser, num_warmup_steps=warm_up, num_training_steps=STEPS)
    shares = []
    for _ in range(STEPS):
        shares.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return shares


@pytest.mark.parametrize(
    ("schedule", "warm_up"),
    [("linear", 0), ("linear", 1), ("linear", 5), ("linear", STEPS), ("cosine", 0), ("cosine", 5), ("constant", 0)],
)
def test_each_step_has_the_rate_that_it_has_in_transformers(
    folder: Path, tmp_path: Path, schedule: str, warm_up: int
) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [])
    recipe = describe(folder, data, lr_scheduler_type=schedule, warmup_steps=warm_up)["recipe"]
    shares = [Optimisation.of(recipe).find_share(step, STEPS) for step in range(STEPS)]
    assert shares == pytest.approx(find_shares_of_transformers(schedule, warm_up))
