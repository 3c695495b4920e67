"""The trainer of an exported bundle takes the steps of TRL's own DPO, and gives a loss all that it may ask for."""

import copy
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("trl", reason="trl is not installed: pip install 'discovery-service[trl]'")

import trl
from datasets import Dataset
from peft import LoraConfig

from tests.conformance.preferences import as_texts, make_model, make_rows, make_tokenizer
from tests.losses.eager import KNOWN
from tests.losses.test_bundle import unpack
from tests.losses.test_export import facts_of

STEPS, BATCH = 3, 4
ROWS = as_texts(make_rows(STEPS * BATCH, shortest=4))
BASE = make_model(hidden=32, layers=1, inner=72)
LORA = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
# Its value says what it was given; its slope is that of the chosen answer's log-probability.
TELLING = """
def telling(policy_chosen_logps, annotator, progress):
    return policy_chosen_logps - policy_chosen_logps.detach() + 10 * progress + annotator
"""
Bundle = Callable[[str], Any]


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bundle]:
    """Of a loss: its adapter, imported as a script beside it does."""

    def export(source: str) -> Any:
        monkeypatch.syspath_prepend(unpack(facts_of(source), tmp_path / "bundle"))
        import trl_adapter  # type: ignore[import-not-found]

        return trl_adapter

    yield export
    for name in ("discovered_loss", "trl_adapter"):
        sys.modules.pop(name, None)


def configure(folder: Path, **changes: Any) -> trl.DPOConfig:
    usual = {
        "beta": 0.2,
        "learning_rate": 1e-3,
        "max_steps": STEPS,
        "per_device_train_batch_size": BATCH,
        "precompute_ref_log_probs": True,
        "logging_steps": 1,
        "activation_checkpointing": False,
    }
    quiet = {"bf16": False, "use_cpu": True, "save_strategy": "no", "report_to": [], "disable_tqdm": True}
    return trl.DPOConfig(output_dir=str(folder), **{**usual, **quiet, "dataloader_pin_memory": False, **changes})


def train(trainer: type[trl.DPOTrainer], folder: Path, rows: Dataset = ROWS, **given: Any) -> Any:
    peft, evaluated = given.pop("peft_config", None), given.pop("eval_dataset", None)
    made = trainer(
        model=copy.deepcopy(BASE),
        args=configure(folder, **given),
        train_dataset=rows,
        eval_dataset=evaluated,
        processing_class=make_tokenizer(),
        peft_config=peft,
    )
    made.train()
    return made


def trainable(trainer: Any) -> torch.Tensor:
    return torch.cat([each.detach().flatten() for each in trainer.model.parameters() if each.requires_grad])


@pytest.mark.parametrize(
    "how",
    [{}, {"peft_config": LORA}, {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}],
    ids=["full", "lora", "accumulated"],
)
def test_an_exported_dpo_takes_the_steps_of_trls_own(bundle: Bundle, how: dict[str, Any], tmp_path: Path) -> None:
    ours = train(bundle(KNOWN["dpo"].text).DiscoveredTrainer, tmp_path / "ours", **how)
    theirs = train(trl.DPOTrainer, tmp_path / "theirs", **how)
    found, wanted = (each.state.log_history[:STEPS] for each in (ours, theirs))
    for mine, their in zip(found, wanted, strict=True):
        names = ["loss", "grad_norm", *(name for name in their if name.startswith(("rewards/", "logps/")))]
        assert len(names) == 8
        assert {name: mine[name] for name in names} == pytest.approx({name: their[name] for name in names}, abs=2e-5)
    torch.testing.assert_close(trainable(ours), trainable(theirs), rtol=0, atol=1e-5)
    # Steps that change nothing would agree, too.
    assert found[0]["rewards/margins"] != found[-1]["rewards/margins"]


@pytest.mark.parametrize("name", ["simpo", "length_dpo"])
def test_a_loss_without_reference_and_one_that_sees_lengths_train(bundle: Bundle, name: str, tmp_path: Path) -> None:
    rows = as_texts(make_rows(BATCH, shortest=4))
    trained = train(bundle(KNOWN[name].text).DiscoveredTrainer, tmp_path, rows, max_steps=10)
    losses = [each["loss"] for each in trained.state.log_history if "loss" in each]
    assert losses[-1] < losses[0]


def test_a_loss_hears_who_labelled_and_how_far_training_is(bundle: Bundle, tmp_path: Path) -> None:
    rows = ROWS.add_column("annotator", [0, 1, 2, None] * STEPS)
    config = {"train_sampling_strategy": "sequential", "eval_dataset": rows.select(range(2)), "eval_strategy": "epoch"}
    trained = train(bundle(TELLING).DiscoveredTrainer, tmp_path, rows, **config)
    told = [each["loss"] for each in trained.state.log_history if "loss" in each]
    assert told == pytest.approx([0.5 + 10 * step / STEPS for step in range(STEPS)], abs=1e-4)
    assert trained.evaluate()["eval_loss"] == pytest.approx(10.5, abs=1e-4)
    assert "eval_rewards/margins" in trained.state.log_history[-1]


def test_where_no_column_says_who_labelled_nobody_did(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="nobody labelled: that may train another loss"):
        trained = train(bundle(TELLING).DiscoveredTrainer, tmp_path, max_steps=1)
    assert trained.state.log_history[0]["loss"] == pytest.approx(-1.0, abs=1e-4)


def test_a_loss_that_asks_for_nobody_trains_whatever_the_rows_say_of_who_labelled(
    bundle: Bundle, tmp_path: Path
) -> None:
    rows = ROWS.add_column("annotator", ["ada", "ben", "ada", None] * STEPS)
    trained = train(bundle(KNOWN["dpo"].text).DiscoveredTrainer, tmp_path, rows, max_steps=1)
    assert trained.state.log_history[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)


def test_annotators_that_are_no_numbers_are_refused_where_the_loss_asks_for_them(
    bundle: Bundle, tmp_path: Path
) -> None:
    rows = ROWS.add_column("annotator", ["ada", "ben", "ada", None] * STEPS)
    with pytest.raises(ValueError, match="annotator holds 'ada', which is no whole number"):
        train(bundle(TELLING).DiscoveredTrainer, tmp_path, rows)


@pytest.mark.parametrize(
    ("rows", "config", "sentence"),
    [
        (ROWS, {"precompute_ref_log_probs": False}, r"DPOConfig\(precompute_ref_log_probs=True\)"),
        (ROWS, {"loss_type": ["ipo"], "ld_alpha": 0.5}, "loss_type, ld_alpha would change nothing"),
        (ROWS.to_iterable_dataset(), {}, "load them whole"),
        (ROWS.add_column("images", [[]] * len(ROWS)), {}, "takes text alone"),
    ],
    ids=["no reference", "another loss", "a stream", "images"],
)
def test_what_it_cannot_train_on_is_refused_in_a_sentence(
    bundle: Bundle, rows: Any, config: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=sentence):
        train(bundle(KNOWN["dpo"].text).DiscoveredTrainer, tmp_path, rows, **config)


@pytest.mark.parametrize("version", ["1.15.9", "2.0.0", "0.29.1"])
def test_another_trl_is_refused_with_what_to_install(
    bundle: Bundle, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trl, "__version__", version)
    with pytest.raises(ImportError, match=rf"and {version} is installed: pip install 'trl>=1.16,<2'"):
        bundle(KNOWN["dpo"].text)
