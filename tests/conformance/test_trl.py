"""The trainer takes the steps that TRL's DPOTrainer takes, for every loss that both have with the same formula."""

import copy
from pathlib import Path

import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Setting
from discovery_service.domain.worlds import Precision, Schedule
from discovery_service.losses.graph import read_graph
from discovery_service.losses.source import check_source
from tests.losses.eager import KNOWN
from workers.jail.compiler import compile_source
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train

pytest.importorskip("trl", reason="trl is not installed: pip install 'discovery-service[trl]'")

from tests.conformance.preferences import Preferences, make_model, make_rows
from tests.conformance.trl import make_trainer

STEPS, BATCH = 20, 8
OPTIMISATION = Optimisation(
    warm_up=5, schedule=Schedule.COSINE, clip=1.0, adam_betas=(0.9, 0.95), precision=Precision.FLOAT32
)
# Ours, TRL's name, and its names of what ours have as hyper-parameters. Its sppo_hard agrees, too, but its loss of 53
# has no digits left for 1e-5.
SAME = [
    ("dpo", "sigmoid", {}),
    ("slic", "hinge", {}),
    ("ipo_avg", "ipo", {}),
    ("robust_dpo", "robust", {"label_smoothing": 0.1}),
    ("lrml", "discopop", {"discopop_tau": 0.05}),
    ("apo_zero", "apo_zero", {}),
    ("apo_down", "apo_down", {}),
    ("aot", "aot", {}),
    ("nca_pair", "nca_pair", {}),
    ("exo", "exo_pair", {"label_smoothing": 1e-3}),
]


@pytest.mark.parametrize(("ours", "theirs", "config"), SAME, ids=[each[1] for each in SAME])
def test_the_first_steps_agree_in_loss_and_weights(
    ours: str, theirs: str, config: dict[str, float], tmp_path: Path
) -> None:
    base = make_model(hidden=32, layers=1, inner=72)
    rows = make_rows(STEPS * BATCH, shortest=4)
    setting = Setting(beta=0.1, learning_rate=1.5e-3, steps=STEPS)
    trainer = make_trainer(
        copy.deepcopy(base), rows, BATCH, setting, OPTIMISATION, tmp_path, loss_type=[theirs], **config
    )
    read = trainer.train_dataset
    assert list(zip(read["prompt_ids"], read["chosen_ids"], read["rejected_ids"], strict=True)) == rows
    trainer.train()

    model = copy.deepcopy(base)
    program = Program(read_graph(compile_source(check_source(KNOWN[ours].text, Family.PAIRWISE))))
    task = Preferences(model, rows, BATCH)
    trained = train(task, program, Family.PAIRWISE, setting, OPTIMISATION)

    losses = torch.stack(trainer.losses)
    torch.testing.assert_close(torch.tensor(trained.series["loss"]), losses, rtol=0, atol=1e-5)
    assert _find_largest_difference(model, trainer.model) <= 1e-4
    # Steps that change nothing would agree, too.
    assert _find_largest_difference(model, base) > 5e-3


def _find_largest_difference(left: torch.nn.Module, right: torch.nn.Module) -> float:
    others = right.state_dict()
    return max(float((weight - others[name]).abs().max()) for name, weight in left.state_dict().items())
