"""TRL's DPOTrainer on the same rows in the same order, with our optimiser's settings and schedule."""

from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM

from benchmarks.trl_evaluation import ScheduledTrainer, make_config
from discovery_service.domain.measuring import Setting
from tests.conformance.preferences import Row, as_texts, make_tokenizer
from workers.runtime.optimisation import Optimisation


class RecordingTrainer(ScheduledTrainer):
    """Its log rounds losses to four digits, so they are taken where they come from; and the schedule is ours."""

    def __init__(self, schedule: Optimisation, **given: Any) -> None:
        self.losses: list[torch.Tensor] = []
        super().__init__(schedule, **given)

    def compute_loss(self, *given: Any, **named: Any) -> Any:
        loss = super().compute_loss(*given, **named)
        self.losses.append(loss.detach())
        return loss


def make_trainer(
    model: LlamaForCausalLM,
    rows: list[Row],
    batch: int,
    setting: Setting,
    optimisation: Optimisation,
    folder: Path,
    **config: Any,
) -> RecordingTrainer:
    arguments = make_config(
        folder,
        setting,
        optimisation,
        per_device_train_batch_size=batch,
        train_sampling_strategy="sequential",
        precompute_ref_log_probs=True,
        **config,
    )
    return RecordingTrainer(
        optimisation,
        model=model,
        args=arguments,
        train_dataset=as_texts(rows),
        processing_class=make_tokenizer(),
    )
