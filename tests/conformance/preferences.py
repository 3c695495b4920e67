"""A small Llama, its words, and preferences over them, as a user of TRL has them and as our trainer takes them."""

import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from workers.arenas.arena import Batch, Policy
from workers.arenas.causal import completion_log_probabilities

WORDS, PROMPT, COMPLETION = 75, 5, 20
_SPECIAL = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}

Row = tuple[list[int], list[int], list[int]]
"""Prompt, chosen and rejected; the last two end with eos."""


def make_model(hidden: int, layers: int, inner: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=hidden,
        num_hidden_layers=layers,
        intermediate_size=inner,
        num_attention_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        # Of a model that was trained the logits differ by more than this seed's.
        initializer_range=0.1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config)


def make_tokenizer() -> PreTrainedTokenizerFast:
    words = [*_SPECIAL.values(), *(f"w{index}" for index in range(len(_SPECIAL), WORDS))]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="w3"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **_SPECIAL)


def make_rows(count: int, *, shortest: int) -> list[Row]:
    """Completions of `shortest` to 20 tokens, eos included."""
    generator = torch.Generator().manual_seed(1)

    def pick(length: int) -> list[int]:
        return torch.randint(len(_SPECIAL), WORDS, (length,), generator=generator).tolist()

    def complete() -> list[int]:
        return [*pick(int(torch.randint(shortest, COMPLETION + 1, (), generator=generator)) - 1), 2]

    return [([1, *pick(PROMPT - 1)], complete(), complete()) for _ in range(count)]


def as_texts(rows: list[Row]) -> Dataset:
    """As a user writes them down. TRL appends a completion to its prompt as it is, and eos to both."""
    words = make_tokenizer()
    return Dataset.from_dict(
        {
            "prompt": [words.decode(prompt) for prompt, _, _ in rows],
            "chosen": [" " + words.decode(chosen[:-1]) for _, chosen, _ in rows],
            "rejected": [" " + words.decode(rejected[:-1]) for _, _, rejected in rows],
        }
    )


class CausalPolicy:
    def __init__(self, model: LlamaForCausalLM) -> None:
        self._model = model

    def parameters(self) -> list[torch.nn.Parameter]:
        return list(self._model.parameters())

    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        told = completion_log_probabilities(self._model, batch.rows["tokens"], None, batch.rows["mask"])
        chosen, rejected = told.chunk(2)
        return {"policy_chosen_logps": chosen, "policy_rejected_logps": rejected}


class Preferences:
    """A task of our trainer: the rows in their order, over and over."""

    def __init__(self, model: LlamaForCausalLM, rows: list[Row], batch: int) -> None:
        self.policy = CausalPolicy(model)
        self.batches = self
        self._batches = [self._make(rows[at : at + batch]) for at in range(0, len(rows), batch)]
        self._taken = 0

    def take(self, policy: Policy) -> Batch:
        batch = self._batches[self._taken % len(self._batches)]
        self._taken += 1
        return batch

    def measure(self) -> dict[str, float | None]:
        return {}

    def _make(self, rows: list[Row]) -> Batch:
        texts = [torch.tensor(row[0] + row[part]) for part in (1, 2) for row in rows]
        tokens = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
        mask = tokens.ne(0)
        mask[:, :PROMPT] = False
        chosen_lengths, rejected_lengths = mask.sum(1).float().chunk(2)
        data = {
            "chosen_lengths": chosen_lengths,
            "rejected_lengths": rejected_lengths,
            "annotator": torch.zeros(len(rows), dtype=torch.int64),
        }
        unsaid = Batch(data, {"tokens": tokens, "mask": mask})
        with torch.no_grad():
            said = self.policy.log_probabilities(unsaid)
        reference = {name.replace("policy", "reference"): each for name, each in said.items()}
        return Batch({**data, **reference}, unsaid.rows)
