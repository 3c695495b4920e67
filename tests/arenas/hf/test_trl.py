"""A user's rows become the tokens and the reference log-probabilities that TRL makes of them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from discovery_service.domain.user_arenas import UserArena
from tests.arenas.hf.conftest import DRAW, ROWS, Open
from tests.arenas.hf.tiny import make_rows

trl = pytest.importorskip("trl", reason="needs the extra trl")
datasets = pytest.importorskip("datasets")


def prepare_with_trl(folder: Path, rows: list[dict[str, Any]], output: Path) -> Any:
    options = {"precompute_ref_log_probs": True, "per_device_train_batch_size": 4, "max_length": 100, "bf16": False}
    trainer = trl.DPOTrainer(
        model=str(folder),
        args=trl.DPOConfig(output_dir=str(output), report_to=[], use_cpu=True, **options),
        train_dataset=datasets.Dataset.from_list(rows),
    )
    trainer.get_train_dataloader()
    return trainer.train_dataset


@pytest.mark.parametrize("style", ["standard", "conversational", "implicit", "implicit conversational"])
def test_trl_reads_the_same_tokens_and_the_same_reference(
    folder: Path,
    open_: Open,
    tmp_path: Path,
    style: str,
) -> None:
    rows = make_rows(ROWS, style=style)
    arena = open_(style=style)
    arena.open(0, DRAW)
    base = arena._bases[0]
    theirs = prepare_with_trl(folder, rows, tmp_path / "trl")
    for pair, row in zip(base.rows.items, theirs, strict=True):
        assert (pair.prompt.tolist(), pair.chosen.tolist(), pair.rejected.tolist()) == (
            row["prompt_ids"],
            row["chosen_ids"],
            row["rejected_ids"],
        )
    reference = torch.tensor([[row["ref_chosen_logps"], row["ref_rejected_logps"]] for row in theirs])
    torch.testing.assert_close(base.rows.reference, reference, rtol=1e-5, atol=1e-4)


def test_a_field_that_trl_has_too_has_its_default(tmp_path: Path) -> None:
    """But for `bf16`, which TRL makes depend on the machine, and `max_steps`, which it leaves to epochs."""
    configs = trl.DPOConfig(output_dir=str(tmp_path), report_to=[], use_cpu=True), trl.ModelConfig()
    shared = {
        name: (field.default, getattr(config, name))
        for name, field in UserArena.model_fields.items()
        for config in configs
        if hasattr(config, name) and name not in ("bf16", "max_steps", "model_name_or_path")
    }
    assert len(shared) >= 13
    assert {name: defaults for name, defaults in shared.items() if defaults[0] != defaults[1]} == {}
