"""One evaluation as existing systems make it: a fresh process that loads a model and preferences from a folder, trains
with TRL's DPOTrainer, samples and scores. `python -m benchmarks.trl_evaluation` reads an `Order` as JSON from stdin.

The optimiser, its schedule, the pairs, the evaluation's prompts and how they are scored are the arena's own. TRL gets
what makes it faster: no activation checkpointing, which is on unless told otherwise, and no progress bars; its caches
on disk, which keep tokens but no reference log-probabilities from one setting to another, work as they do for anybody.
"""

import json
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer

from discovery_service.domain.measuring import Setting, Stream
from workers.arenas.opening import open_arena
from workers.arenas.texts import TEXT
from workers.runtime.optimisation import Optimisation
from workers.runtime.protocol import DrawMessage


class ScheduledTrainer(DPOTrainer):
    """With the arena's schedule."""

    def __init__(self, schedule: Optimisation, **given: Any) -> None:
        self._schedule = schedule
        super().__init__(**given)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        self.lr_scheduler = LambdaLR(
            optimizer or self.optimizer,
            # It is asked once more after the last step.
            lambda step: self._schedule.find_share(min(step, num_training_steps - 1), num_training_steps),
        )
        return self.lr_scheduler


def make_config(folder: Path, setting: Setting, optimisation: Optimisation, **more: Any) -> DPOConfig:
    """Our optimiser's settings, and none of the defaults that save memory and round what ours does not."""
    return DPOConfig(
        output_dir=str(folder),
        beta=setting.beta,
        learning_rate=setting.learning_rate,
        max_steps=setting.steps,
        optim="adamw_torch_fused",
        adam_beta1=optimisation.adam_betas[0],
        adam_beta2=optimisation.adam_betas[1],
        max_grad_norm=optimisation.clip,
        activation_checkpointing=False,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **more,
    )


class StepTimes(TrainerCallback):  # type: ignore[misc]
    """When each optimiser step begins: what lies before the first and behind the last is none of a step."""

    def __init__(self) -> None:
        self._begun: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._begun.append(time.perf_counter())

    @property
    def median_s(self) -> float:
        return statistics.median(end - begin for begin, end in pairwise(self._begun))


def main() -> None:
    torch.set_num_threads(1)
    order = json.load(sys.stdin)
    moments = [time.perf_counter()]
    trainer, times = _prepare(order), StepTimes()
    trainer.add_callback(times)
    moments.append(time.perf_counter())
    trainer.train()
    moments.append(time.perf_counter())
    metrics = _measure(order, trainer.model)
    moments.append(time.perf_counter())
    names = ("preparing", "training", "measuring")
    seconds = {name: end - begin for name, begin, end in zip(names, moments, moments[1:], strict=False)}
    print(json.dumps({"metrics": metrics, "seconds": seconds, "step_s": times.median_s}))


def _prepare(order: dict[str, Any]) -> ScheduledTrainer:
    folder, draw = Path(order["folder"]), DrawMessage(**order["draw"]).draw()
    optimisation, setting = Optimisation.of(order["arena"]["recipe"]), Setting(**order["setting"])
    arguments = make_config(
        folder / "out",
        setting,
        optimisation,
        per_device_train_batch_size=order["arena"]["recipe"]["batch"],
        # It would append an end to texts that are cut where they are longest.
        max_length=TEXT,
        precompute_ref_log_probs=order["precompute"],
        seed=draw.seed(Stream.ORDER) % (1 << 32),
        loss_type=[order["loss_type"]],
        **order["config"],
    )
    return ScheduledTrainer(
        optimisation,
        model=AutoModelForCausalLM.from_pretrained(folder / "model", attn_implementation="eager"),
        args=arguments,
        train_dataset=load_dataset("json", data_files=order["pairs"], split="train"),
        processing_class=AutoTokenizer.from_pretrained(folder / "model"),
    )


def _measure(order: dict[str, Any], model: Any) -> dict[str, float | None]:
    """As the runtime does, on the same prompts with the same random numbers."""
    arena = open_arena(order["arena"], torch.device("cpu"), Path(order["cache"]))
    task: Any = arena.open(order["base_policy"], DrawMessage(**order["draw"]).draw())
    task.policy.model.load_state_dict(model.state_dict())
    found: dict[str, float | None] = task.measure()
    return found


if __name__ == "__main__":
    main()
