"""A tiny model and its tokenizer as an ordinary folder, and preferences to train it on: what a user would have."""

import json
import random
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = {
    "good": ["lovely", "great", "fine", "kind", "bright"],
    "bad": ["awful", "rude", "dull", "grim", "bleak"],
    "thing": ["house", "dog", "song", "river", "meal", "book", "street", "coat"],
}
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|> {{ message['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)
SPECIAL = ["<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>"]


def make_tokenizer(*, chat: bool = True) -> Any:
    lines = [f"How is the {thing} ? The {thing} is {word} ." for thing in WORDS["thing"] for word in _all_words()]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        lines,
        trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    made = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    made.chat_template = TEMPLATE if chat else None
    return made


def make_model(vocabulary: int, seed: int = 0, **changes: Any) -> Any:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=vocabulary, max_position_embeddings=128, eos_token_id=2, **(sizes | changes))
    # Wide enough that replies differ from one prompt to the next.
    return LlamaForCausalLM(config).apply(lambda module: _widen(module))


def save_folder(folder: Path, *, seed: int = 0, chat: bool = True, **changes: Any) -> Path:
    tokenizer = make_tokenizer(chat=chat)
    tokenizer.save_pretrained(folder)
    make_model(len(tokenizer), seed, **changes).save_pretrained(folder)
    return folder


def make_rows(count: int, *, style: str = "standard", seed: int = 0) -> list[dict[str, Any]]:
    """Who answers kindly is preferred. Prompts differ in length."""
    choose = random.Random(seed)
    return [_make_row(choose, number, style) for number in range(count)]


def write_rows(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def _make_row(choose: random.Random, number: int, style: str) -> dict[str, Any]:
    thing = choose.choice(WORDS["thing"])
    asked = f"{'Well, ' * (number % 4)}number {number}: How is the {thing} ?"
    chosen, rejected = (f" The {thing} is {choose.choice(WORDS[kind])} ." for kind in ("good", "bad"))
    match style:
        case "standard":
            return {"prompt": asked, "chosen": chosen, "rejected": rejected, "annotator": number % 2}
        case "implicit":
            return {"chosen": asked + chosen, "rejected": asked + rejected}
    user = {"role": "user", "content": asked}
    replies = [{"role": "assistant", "content": text.strip()} for text in (chosen, rejected)]
    if style == "conversational":
        return {"prompt": [user], "chosen": replies[:1], "rejected": replies[1:]}
    return {"chosen": [user, replies[0]], "rejected": [user, replies[1]]}


def _all_words() -> list[str]:
    return [word for words in WORDS.values() for word in words]


def _widen(module: torch.nn.Module) -> None:
    if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
        torch.nn.init.normal_(module.weight, std=0.3)
