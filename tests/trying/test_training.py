"""A trial trains as TRL does with its own loss, and as the trainer of an exported bundle does with that one's."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("trl", reason="trl is not installed: pip install 'discovery-service[trl]'")

import trl
from peft import LoraConfig

from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Setting
from discovery_service.domain.worlds import Precision
from discovery_service.losses.graph import read_graph
from discovery_service.losses.source import check_source
from tests.arenas.hf.tiny import make_rows, save_folder, write_rows
from tests.losses.eager import KNOWN
from tests.losses.test_bundle import unpack
from tests.losses.test_export import facts_of
from workers.arenas.hf.folders import load_model, load_tokenizer
from workers.arenas.hf.tokenising import Limits
from workers.jail.compiler import compile_source
from workers.runtime.graph import Program
from workers.trying.rows import read_parts
from workers.trying.training import How, _configure, as_dataset, train

SETTING = Setting(beta=0.5, learning_rate=3e-3, steps=3)
CPU = torch.device("cpu")
WHO_AND_WHEN = """
def weighted(policy_chosen_logps, policy_rejected_logps, chosen_lengths, rejected_lengths, annotator, progress, beta):
    margin = policy_chosen_logps / chosen_lengths - policy_rejected_logps / rejected_lengths
    return -F.logsigmoid(beta * margin) * (1 + annotator) * (1 + progress)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("own")
    save_folder(folder / "model")
    tokenizer = load_tokenizer(str(folder / "model"))
    data = write_rows(folder / "rows.jsonl", make_rows(60))
    parts = read_parts(data, tokenizer, Limits(100, 64, 128, None), batch=4, prompts=4)
    return load_model(str(folder / "model"), CPU, Precision.FLOAT32, is_frozen=False), tokenizer, parts.trained


def train_graph(place: Any, source: str, *, is_lora: bool = False) -> Any:
    base, tokenizer, pairs = place
    program = Program(read_graph(compile_source(check_source(source, Family.PAIRWISE))))
    how = How(batch=4, max_length=100, is_lora=is_lora, is_bf16=False, device=CPU)
    return train(base, tokenizer, as_dataset(pairs), program, SETTING, 7, how, lambda _: None)


def train_with(trainer: Any, place: Any, folder: Path, **given: Any) -> Any:
    base, tokenizer, pairs = place
    how = How(batch=4, max_length=100, is_lora=False, is_bf16=False, device=CPU)
    made = trainer(
        model=copy.deepcopy(base).requires_grad_(not given),
        args=_configure(str(folder), SETTING, 7, how),
        train_dataset=as_dataset(pairs),
        processing_class=tokenizer,
        **given,
    )
    made.train()
    return made.model


def weights(model: Any) -> torch.Tensor:
    return torch.cat([each.detach().flatten() for each in model.state_dict().values()])


@pytest.mark.parametrize("is_lora", [False, True])
def test_dpo_ends_where_trls_own_does(place: Any, is_lora: bool, tmp_path: Path) -> None:
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    theirs = train_with(trl.DPOTrainer, place, tmp_path, **({"peft_config": lora} if is_lora else {}))
    ours = train_graph(place, KNOWN["dpo"].text, is_lora=is_lora)
    theirs = theirs.get_base_model() if is_lora else theirs
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=0, atol=1e-5)
    # Steps that change nothing would agree, too: the second half of an adapter begins with zeros.
    moved = [each for name, each in ours.state_dict().items() if "lora_B" in name]
    moved = moved if is_lora else [weights(ours) - weights(place[0])]
    assert max(float(each.abs().max()) for each in moved) > 1e-3


def test_a_loss_ends_where_the_trainer_of_its_bundle_does(
    place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(unpack(facts_of(WHO_AND_WHEN), tmp_path / "bundle"))
    try:
        import trl_adapter  # type: ignore[import-not-found]

        theirs = train_with(trl_adapter.DiscoveredTrainer, place, tmp_path)
    finally:
        for name in ("discovered_loss", "trl_adapter"):
            sys.modules.pop(name, None)
    ours = train_graph(place, WHO_AND_WHEN)
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=0, atol=1e-5)
    assert float((weights(ours) - weights(place[0])).abs().max()) > 1e-3


def test_the_base_policy_is_left_as_it_was(place: Any) -> None:
    before = weights(place[0]).clone()
    train_graph(place, KNOWN["dpo"].text)
    assert torch.equal(weights(place[0]), before)
    assert not any(each.requires_grad for each in place[0].parameters())


@pytest.mark.parametrize("style", ["standard", "conversational", "implicit", "implicit conversational"])
def test_trl_reads_in_the_rows_the_tokens_that_are_measured(place: Any, style: str, tmp_path: Path) -> None:
    base, tokenizer, _ = place
    data = write_rows(tmp_path / "rows.jsonl", make_rows(60, style=style))
    pairs = read_parts(data, tokenizer, Limits(100, 64, 128, None), batch=4, prompts=4).trained
    how = How(batch=4, max_length=100, is_lora=False, is_bf16=False, device=CPU)
    arguments = _configure(str(tmp_path), SETTING, 7, how)
    made = trl.DPOTrainer(copy.deepcopy(base), None, arguments, None, as_dataset(pairs), processing_class=tokenizer)
    read = made.train_dataset
    for pair, row in zip(pairs, read, strict=True):
        theirs = (row["prompt_ids"], row["chosen_ids"], row["rejected_ids"], row["annotator"])
        assert (pair.prompt.tolist(), pair.chosen.tolist(), pair.rejected.tolist(), pair.row.annotator) == theirs
