"""What of an operator's folder of a model is refused, by a worker and before it is registered."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from discovery_service.domain.worlds import Precision
from tests.arenas.hf.tiny import save_folder
from workers.arenas.hf.folders import UnusableFolder, check_adapter, check_weights, load_model, load_tokenizer

KEY = "model.layers.0.self_attn.q_proj.weight"
Weights = dict[str, torch.Tensor]


def load(path: str) -> Any:
    return load_model(path, torch.device("cpu"), Precision.FLOAT32, is_frozen=False)


looks = pytest.mark.parametrize("look", [load, check_weights], ids=["worker", "registration"])


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return save_folder(tmp_path / "model")


def change(folder: Path, change_weights: Callable[[Weights], object]) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    change_weights(weights)
    save_file(weights, file, metadata={"format": "pt"})


@looks
def test_weights_that_are_missing_are_not_made_up(whole: Path, look: Callable[[str], Any]) -> None:
    pytest.importorskip("accelerate")
    change(whole, lambda weights: weights.pop(KEY))
    with pytest.raises(UnusableFolder, match=f"has no weights for {KEY}:"):
        look(str(whole))


@looks
def test_weights_of_another_shape_are_not_made_up(whole: Path, look: Callable[[str], Any]) -> None:
    pytest.importorskip("accelerate")
    change(whole, lambda weights: weights.update({KEY: torch.zeros(3, 3)}))
    with pytest.raises(UnusableFolder, match=f"has weights of another shape for {KEY}:"):
        look(str(whole))


@looks
def test_a_truncated_file_is_told_with_its_folder(whole: Path, look: Callable[[str], Any]) -> None:
    pytest.importorskip("accelerate")
    file = whole / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UnusableFolder, match=f"The model in {whole} cannot be loaded: "):
        look(str(whole))


@looks
def test_a_head_that_is_tied_to_the_embeddings_is_not_missed(tmp_path: Path, look: Callable[[str], Any]) -> None:
    look(str(save_folder(tmp_path / "tied", tie_word_embeddings=True)))


def test_the_weights_are_not_loaded_to_be_looked_at(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot leave them out, it does not look."""
    monkeypatch.setattr("workers.arenas.hf.folders.find_spec", lambda _: None)
    monkeypatch.setattr("workers.arenas.hf.folders._load_weights", lambda *_, **__: pytest.fail("they were loaded"))
    check_weights(str(whole))


def test_no_code_of_a_folder_runs_and_nobody_is_asked(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    (whole / "own.py").write_text("raise SystemExit('it ran')")
    for name, classes in {
        "config.json": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
        "tokenizer_config.json": {"AutoTokenizer": ["own.Tokenizer", None]},
    }.items():
        described = json.loads((whole / name).read_text()) | {"auto_map": classes}
        described |= {"model_type": "own"} if name == "config.json" else {"tokenizer_class": "OwnTokenizer"}
        (whole / name).write_text(json.dumps(described))
    with pytest.raises(UnusableFolder, match="The model in"):
        load(str(whole))
    with suppress(UnusableFolder):
        load_tokenizer(str(whole))


@pytest.mark.parametrize("targets", [["q_proj"], "all-linear", ".*q_proj", None])
def test_an_adapter_that_fits_is_known_to_without_weights(whole: Path, targets: Any) -> None:
    pytest.importorskip("peft")
    (whole / "model.safetensors").unlink()
    check_adapter(str(whole), {"r": 4, "alpha": 8, "target_modules": targets})


@pytest.mark.parametrize("targets", [["nowhere"], "q_proj", "(", ["input_layernorm"]])
def test_an_adapter_that_fits_nowhere_is_told_what_to_mend(whole: Path, targets: Any) -> None:
    pytest.importorskip("peft")
    with pytest.raises(UnusableFolder, match=r"fits no part of the model: .*Mend lora_target_modules"):
        check_adapter(str(whole), {"r": 4, "alpha": 8, "target_modules": targets})
