"""TRL's DPOTrainer on the same rows in the same order, with our optimiser's settings and schedule."""

from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM
from trl import DPOConfig

from benchmarks.trl_evaluation import ScheduledTrainer
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
    arguments = DPOConfig(
        output_dir=str(folder),
        beta=setting.beta,
        learning_rate=setting.learning_rate,
        max_steps=setting.steps,
        per_device_train_batch_size=batch,
        train_sampling_strategy="sequential",
        optim="adamw_torch_fused",
        adam_beta1=optimisation.adam_betas[0],
        adam_beta2=optimisation.adam_betas[1],
        max_grad_norm=optimisation.clip,
        precompute_ref_log_probs=True,
        # Its defaults save memory, and round what ours does not.
        activation_checkpointing=False,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **config,
    )
    return RecordingTrainer(
        optimisation,
        model=model,
        args=arguments,
        train_dataset=as_texts(rows),
        processing_class=make_tokenizer(),
    )
