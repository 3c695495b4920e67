"""A local folder of Hugging Face's: its tokenizer and its model, frozen; and what is trained on top of that model."""

import copy
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from discovery_service.domain.worlds import Precision

_ONLY_WHAT_IS_THERE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""Nothing is downloaded, and no code of the folder's runs."""
_KEYS_TOLD = 5


class UnusableFolder(Exception):
    """It holds no model or tokenizer that can be loaded here."""


def load_tokenizer(path: str) -> Any:
    with _told(path, "tokenizer"):
        return AutoTokenizer.from_pretrained(path, **_ONLY_WHAT_IS_THERE)


@dataclass(frozen=True)
class Reach:
    """Of a model, as far as its configuration says."""

    positions: int | None
    """How far it can look back."""
    vocabulary: int | None
    """How many tokens it has embeddings for."""


def find_reach(path: str) -> Reach:
    with _told(path, "configuration"):
        config = AutoConfig.from_pretrained(path, **_ONLY_WHAT_IS_THERE).get_text_config()
    return Reach(getattr(config, "max_position_embeddings", None), getattr(config, "vocab_size", None))


def load_model(path: str, device: torch.device, precision: Precision, *, is_frozen: bool) -> Any:
    """The reference: in float32, or in what it computes in where it stays frozen below an adapter."""
    dtype = torch.bfloat16 if is_frozen and precision is Precision.BFLOAT16 else torch.float32
    # Dropout is off in training too: the loss is to see the policy, not one of its halves.
    return _load_weights(path, dtype=dtype).eval().requires_grad_(False).to(device)


def check_weights(path: str) -> None:
    """Whether the files have all that the model is made of, without reading it; UnusableFolder where they have not.

    Nothing is looked at where accelerate is not installed, without which transformers cannot leave the weights out.
    """
    if find_spec("accelerate") is not None:
        _load_weights(path, device_map="meta")


def _load_weights(path: str, **how: Any) -> Any:
    disable_progress_bar()
    # It would print a table of what is said here in a sentence.
    set_verbosity_error()
    with _told(path, "model"):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path, output_loading_info=True, ignore_mismatched_sizes=True, **how, **_ONLY_WHAT_IS_THERE
        )
    model, found = loaded
    # transformers draws random numbers for either, other ones in every process.
    _refuse(path, "no weights for", found["missing_keys"])
    _refuse(path, "weights of another shape for", [key for key, *_ in found["mismatched_keys"]])
    return model


def _refuse(path: str, what: str, keys: Collection[str]) -> None:
    if not keys:
        return
    told = ", ".join(sorted(keys)[:_KEYS_TOLD])
    more = f" and {len(keys) - _KEYS_TOLD} more" if len(keys) > _KEYS_TOLD else ""
    raise UnusableFolder(f"The model in {path} has {what} {told}{more}: save it anew, as a causal language model.")


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
    # The files are the operator's, and each reader of them has errors of its own.
    except Exception as error:
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
        cards = [reference.device] if reference.device.type == "cuda" else []
        with torch.random.fork_rng(cards):
            torch.manual_seed(seed)
            self._wrapped = _add_adapter(reference, lora)
        self.model = reference

    @contextmanager
    def speak_as_reference(self) -> Iterator[Any]:
        with self._wrapped.disable_adapter():
            yield self.model

    def end(self) -> None:
        """Take the adapter out of the reference, so that another one finds it as it was."""
        self._wrapped.unload()


def check_adapter(path: str, lora: Mapping[str, Any]) -> None:
    """Whether it fits the model, whose weights are not read. Raises UnusableFolder."""
    with _told(path, "configuration"):
        config = AutoConfig.from_pretrained(path, **_ONLY_WHAT_IS_THERE)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    _add_adapter(model, lora)


def _add_adapter(model: Any, lora: Mapping[str, Any]) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UnusableFolder(
            "This arena trains LoRA adapters, and peft is not installed: pip install 'discovery-service[trl]'."
        ) from error
    try:
        config = LoraConfig(
            r=lora["r"],
            lora_alpha=lora["alpha"],
            target_modules=lora["target_modules"],
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
        )
        with warnings.catch_warnings():
            # Of the names by which peft asks transformers whether activations are kept.
            warnings.simplefilter("ignore", FutureWarning)
            return get_peft_model(model, config)
    # A text for lora_target_modules is a pattern of the operator's, which may be none.
    except (ValueError, re.error) as error:
        raise UnusableFolder(
            f"The adapter fits no part of the model: {str(error).rstrip('.')}. Mend lora_target_modules: a list of"
            " what names of modules end with, a regular expression for whole names, or all-linear."
        ) from error
