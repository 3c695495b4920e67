"""One training in TRL's DPOTrainer with the graph of a loss, as it would go in a user's own script.

Nothing of TRL is changed but the loss: its `compute_loss` is the public place for that. The optimiser, its schedule and
what else no option names are TRL's defaults.
"""

import copy
import io
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PrinterCallback, TrainerCallback
from trl import DPOConfig, DPOTrainer

from discovery_service.domain.measuring import Setting
from workers.arenas.causal import completion_log_probabilities
from workers.arenas.hf.tokenising import Pair
from workers.runtime.graph import Program

OnStep = Callable[[int], None]
"""Hears how many steps are done."""


@dataclass(frozen=True)
class How:
    """What all trainings have in common."""

    batch: int
    max_length: int
    is_lora: bool
    is_bf16: bool
    device: torch.device


class GraphTrainer(DPOTrainer):
    """With the loss of a graph in the place of TRL's own."""

    data_collator: Any

    def __init__(self, program: Program, **given: Any) -> None:
        super().__init__(**given)
        self._program = program
        self._collate = self.data_collator
        # Only now: the reference, which is computed above, would take the column for an input of the model.
        self.data_collator = self._collate_with_annotators
        self.args.remove_unused_columns = False

    def _collate_with_annotators(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        return {**self._collate(rows), "annotator": torch.tensor([row["annotator"] for row in rows])}

    def compute_loss(
        self,
        model: Any,
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,  # noqa: ARG002 - TRL calls it so
        num_items_in_batch: Any = None,  # noqa: ARG002
    ) -> Tensor:
        mask = inputs["completion_mask"]
        chosen, rejected = completion_log_probabilities(
            model, inputs["input_ids"], inputs["attention_mask"], mask
        ).chunk(2)
        lengths = mask.sum(1).float().chunk(2)
        progress = self.state.global_step / max(1, self.state.max_steps)
        settings = {"beta": self.args.beta, "progress": progress}
        given = {
            "policy_chosen_logps": chosen,
            "policy_rejected_logps": rejected,
            "reference_chosen_logps": inputs["ref_chosen_logps"].float(),
            "reference_rejected_logps": inputs["ref_rejected_logps"].float(),
            "chosen_lengths": lengths[0],
            "rejected_lengths": lengths[1],
            "annotator": inputs["annotator"],
            **{name: torch.tensor(each, dtype=torch.float64, device=mask.device) for name, each in settings.items()},
        }
        return self._program(given).mean()


class _Steps(TrainerCallback):
    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002 - as it is called
        self._on_step(state.global_step)


def as_dataset(pairs: Sequence[Pair]) -> Any:
    """As a user gives them to TRL, which reads the same tokens in them."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    columns = ("prompt", "chosen", "rejected", "annotator")
    return Dataset.from_list([{name: getattr(pair.row, name) for name in columns} for pair in pairs])


def train(
    base: Any, tokenizer: Any, rows: Any, program: Program, setting: Setting, seed: int, how: How, on_step: OnStep
) -> Any:
    """The trained policy, a copy. Raises what a loss's graph does; what it made of the weights is not looked at."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        with redirect_stderr(io.StringIO()):  # a bar for each reference that is computed
            trainer = GraphTrainer(
                program,
                # Trainable again: the base policy is frozen, as a reference is.
                model=copy.deepcopy(base).requires_grad_(not how.is_lora),
                args=_configure(folder, setting, seed, how),
                train_dataset=rows,
                processing_class=tokenizer,
                peft_config=_adapt() if how.is_lora else None,
                callbacks=[_Steps(on_step)],
            )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    policy: Any = trainer.model
    return (policy.get_base_model() if how.is_lora else policy).eval()


def _configure(folder: str, setting: Setting, seed: int, how: How) -> DPOConfig:
    return DPOConfig(
        output_dir=folder,
        beta=setting.beta,
        learning_rate=setting.learning_rate,
        max_steps=setting.steps,
        seed=seed,
        per_device_train_batch_size=how.batch,
        max_length=how.max_length,
        precompute_ref_log_probs=True,
        bf16=how.is_bf16,
        use_cpu=how.device.type == "cpu",
        dataloader_pin_memory=how.device.type != "cpu",
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )


def _adapt() -> Any:
    from peft import LoraConfig

    # Of TRL's defaults all but the dropout: the loss is to see the policy, not one of its halves.
    return LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")


@contextmanager
def _quiet() -> Iterator[None]:
    """Libraries warn one another of names that will go."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
