"""A local folder of Hugging Face's: its tokenizer and its model, frozen; and what is trained on top of that model."""

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils.logging import disable_progress_bar

from discovery_service.domain.arenas import Precision


class UnusableFolder(Exception):
    """It holds no model or tokenizer that can be loaded here."""


def load_tokenizer(path: str) -> Any:
    with _told(path, "tokenizer"):
        return AutoTokenizer.from_pretrained(path, local_files_only=True)


def find_max_positions(path: str) -> int | None:
    """How far the model can look back, where its configuration says so."""
    with _told(path, "configuration"):
        config = AutoConfig.from_pretrained(path, local_files_only=True)
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return None if found is None else int(found)


def load_model(path: str, device: torch.device, precision: Precision, *, is_frozen: bool) -> Any:
    """The reference: in float32, or in what it computes in where it stays frozen below an adapter."""
    dtype = torch.bfloat16 if is_frozen and precision is Precision.BFLOAT16 else torch.float32
    disable_progress_bar()
    with _told(path, "model"):
        model = AutoModelForCausalLM.from_pretrained(path, local_files_only=True, dtype=dtype)
    # Dropout is off in training too: the loss is to see the policy, not one of its halves.
    return model.eval().requires_grad_(False).to(device)


def find_ends(model: Any, tokenizer: Any) -> list[int]:
    """Tokens after which a reply is over. Of the folder's other wishes for sampling none is followed."""
    given = model.generation_config.eos_token_id
    ends = [] if given is None else given if isinstance(given, list) else [given]
    model.generation_config = GenerationConfig()
    return sorted({*ends, tokenizer.eos_token_id})


@contextmanager
def _told(path: str, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError) as error:
        said = re.sub(r"\s+", " ", str(error))[:300]
        raise UnusableFolder(f"The {what} in {path} cannot be loaded: {said}") from error


class FullTraining:
    """All weights of a copy are trained; the reference stays beside it."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference
        self.model = copy.deepcopy(reference).requires_grad_(True)

    @contextmanager
    def speak_as_reference(self) -> Iterator[Any]:
        yield self._reference

    def end(self) -> None:
        """Nothing of it is in the reference."""


class AdapterTraining:
    """An adapter in the reference itself is trained; with it switched off, the reference speaks."""

    def __init__(self, reference: Any, lora: Mapping[str, Any], seed: int) -> None:
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise UnusableFolder(
                "This arena trains LoRA adapters, and peft is not installed: pip install 'discovery-service[trl]'."
            ) from error
        config = LoraConfig(
            r=lora["r"],
            lora_alpha=lora["alpha"],
            target_modules=lora["target_modules"],
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
        )
        cards = [reference.device] if reference.device.type == "cuda" else []
        with torch.random.fork_rng(cards):
            torch.manual_seed(seed)
            try:
                self._wrapped = get_peft_model(reference, config)
            except ValueError as error:
                raise UnusableFolder(f"The adapter fits no part of the model: {error}") from error
        self.model = reference

    @contextmanager
    def speak_as_reference(self) -> Iterator[Any]:
        with self._wrapped.disable_adapter():
            yield self.model

    def end(self) -> None:
        """Take the adapter out of the reference, so that another one finds it as it was."""
        self._wrapped.unload()
