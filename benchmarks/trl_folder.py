"""What a synthetic arena begins with, written down as a user of TRL has it: a model with its tokenizer, and preferences
as JSON lines of text."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from discovery_service.domain.measuring import Draw
from workers.arenas.cache import Cache
from workers.arenas.opening import open_arena
from workers.arenas.regimes import read_document
from workers.arenas.texts import BEGIN, END, PAD, PROMPT, VOCABULARY, is_answer

_SPECIAL = {PAD: "<pad>", BEGIN: "<bos>", END: "<eos>"}
WORDS = [_SPECIAL.get(token, f"w{token}") for token in range(VOCABULARY)]


def write_model(folder: Path, document: dict[str, Any], base_policy: int, cache: Path) -> None:
    regime, world, recipe = read_document(document)
    regime.load(world, recipe, base_policy, Cache(cache)).save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({word: token for token, word in enumerate(WORDS)}, unk_token=WORDS[-1]))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    special = {"pad_token": WORDS[PAD], "bos_token": WORDS[BEGIN], "eos_token": WORDS[END]}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def write_pairs(path: Path, document: dict[str, Any], base_policy: int, draw: Draw, cache: Path) -> None:
    """Those that the arena itself trains on: one pass over them."""
    task = open_arena(document, torch.device("cpu"), cache).open(base_policy, draw)
    batches = document["recipe"]["pairs"] // document["recipe"]["batch"]
    texts = torch.cat([task.batches.take(task.policy).rows["texts"] for _ in range(batches)])
    spelt = [
        [" ".join(WORDS[token] for token in text[said].tolist()) for text, said in zip(pair, kept, strict=True)]
        for pair, kept in zip(texts, is_answer(texts), strict=True)
    ]
    prompts = [" ".join(WORDS[token] for token in pair[0, :PROMPT].tolist()) for pair in texts]
    rows = [
        {"prompt": prompt, "chosen": f" {chosen}", "rejected": f" {rejected}"}
        for prompt, (chosen, rejected) in zip(prompts, spelt, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
