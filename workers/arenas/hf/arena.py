"""Arenas of the kind `hf` on one device: an operator's models and preferences kept warm, trainings made of them.

Every draw divides the same rows anew into those that are trained on and those that are held out. So an interval over
draws is about divisions of this file, not about another one; and draws of all purposes share its rows, which those of
a synthetic arena do not.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from discovery_service.domain.arenas import hash_document
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw, Stream
from discovery_service.domain.worlds import Precision
from workers.arenas.arena import Batch, Policy
from workers.arenas.cache import Cache
from workers.arenas.hf.completions import Padded, find_log_probabilities, pad
from workers.arenas.hf.contents import check_data, check_model
from workers.arenas.hf.division import Division, divide
from workers.arenas.hf.examination import Examination, autocast, compare_answers
from workers.arenas.hf.folders import (
    AdapterTraining,
    FullTraining,
    find_ends,
    find_reach,
    load_model,
    load_tokenizer,
)
from workers.arenas.hf.preferences import read_preferences
from workers.arenas.hf.rows import Bad, BadRows
from workers.arenas.hf.scorers import Scorer, make_scorer
from workers.arenas.hf.tokenising import Limits, Pair, hash_tokens, tokenise
from workers.arenas.hf.values import find_values, read_prompts
from workers.arenas.machine import describe_machine


@dataclass
class Base:
    """A base policy, with the rows as it reads them."""

    model: Any
    tokenizer: Any
    ends: list[int]
    pairs: list[Pair]
    tokens_sha256: str
    reference: Tensor
    """(rows, 2): what it says of the chosen and of the rejected answer."""
    read: Tensor | None = None
    """What it has read at each prompt's end, where rows have auxiliary scores."""
    adapter: AdapterTraining | None = None
    """Of the last training, still in the model."""

    def held_bytes(self) -> int:
        weights = sum(each.nbytes for each in self.model.state_dict().values())
        return weights + sum(each.nbytes for pair in self.pairs for each in pair.tokens)


class HfArena:
    def __init__(self, document: Mapping[str, Any], device: torch.device, cache: Cache) -> None:
        self._document, self._device, self._cache = document, device, cache
        self._evaluation = document["evaluation"]
        self._precision = Precision(document["recipe"]["precision"])
        self._bases: OrderedDict[int, Base] = OrderedDict()
        self._scorer: Scorer | None = None

    def open(self, base_policy: int, draw: Draw) -> "HfTask":
        """Where adapters are trained, the last task on the same base policy has its end with it."""
        base = self._find_base(base_policy)
        division = divide_rows(self._document, base.pairs, draw)
        if base.adapter is not None:
            base.adapter.end()
            base.adapter = None
        examination = self._plan_examination(base, division, draw)
        reference_scores = self._find_reference_scores(base_policy, base, examination, draw)
        batch = self._document["recipe"]["batch"]
        batches = PairBatches(base, division.trained, batch, draw.seed(Stream.ORDER))
        if base.read is not None:
            batches.add_scores(base.read)
        return HfTask(self._start_training(base, draw), batches, examination, reference_scores)

    def held_bytes(self) -> int:
        return sum(base.held_bytes() for base in self._bases.values())

    def forget(self, bytes_to_free: int) -> None:
        wanted_bytes = self.held_bytes() - bytes_to_free
        while self._bases and self.held_bytes() > wanted_bytes:
            self._bases.popitem(last=False)

    def _find_base(self, base_policy: int) -> Base:
        if base_policy not in self._bases:
            self._bases[base_policy] = self._load_base(base_policy)
        self._bases.move_to_end(base_policy)
        return self._bases[base_policy]

    def _load_base(self, base_policy: int) -> Base:
        models = self._document["models"]
        if not 0 <= base_policy < len(models):
            raise ValueError(f"The arena has {len(models)} base policies; {base_policy} is none of them, from 0 on.")
        check_contents(self._document, base_policy)
        self._find_scorer()
        path = models[base_policy]["path"]
        tokenizer = load_tokenizer(path)
        pairs = read_pairs(self._document, base_policy, tokenizer)
        is_frozen = self._document["lora"] is not None
        model = load_model(path, self._device, self._precision, is_frozen=is_frozen)
        tokens_sha256 = hash_tokens(pairs)
        recipe = self._name("reference", base_policy, tokens_sha256)
        made = self._cache.get(recipe, lambda: {"reference": self._compare(model, pairs)})
        read = self._read_prompts(base_policy, model, pairs, tokens_sha256)
        return Base(model, tokenizer, find_ends(model, tokenizer), pairs, tokens_sha256, made["reference"], read)

    def _read_prompts(self, base_policy: int, model: Any, pairs: Sequence[Pair], tokens_sha256: str) -> Tensor | None:
        if self._document["family"] != Family.AUXILIARY:
            return None

        def build() -> dict[str, Tensor]:
            with autocast(self._device, self._precision):
                return {"read": read_prompts(model, pairs)}

        return self._cache.get(self._name("prompts as read", base_policy, tokens_sha256), build)["read"]

    def _compare(self, model: Any, pairs: Sequence[Pair]) -> Tensor:
        with autocast(self._device, self._precision):
            return compare_answers(model, pairs)

    def _find_scorer(self) -> Scorer | None:
        """Imported once, as it may take long; None where nothing is configured."""
        described = self._evaluation["scorer"]
        if self._scorer is None and described is not None:
            self._scorer = make_scorer(described)
        return self._scorer

    def _plan_examination(self, base: Base, division: Division, draw: Draw) -> Examination:
        return Examination(
            held_out=[base.pairs[row] for row in division.held_out],
            reference=base.reference[division.held_out],
            prompted=[base.pairs[row] for row in division.prompted],
            tokenizer=base.tokenizer,
            ends=base.ends,
            max_new_tokens=self._evaluation["max_new_tokens"],
            kl_weight=self._evaluation["kl_weight"],
            scorer=self._find_scorer(),
            precision=self._precision,
            seed=draw.seed(Stream.EVALUATION_SAMPLING),
        )

    def _find_reference_scores(
        self, base_policy: int, base: Base, examination: Examination, draw: Draw
    ) -> Tensor | None:
        """Of the base policy's own replies from the same random numbers."""
        if examination.scorer is None:
            return None

        def build() -> dict[str, Tensor]:
            with autocast(self._device, self._precision):
                return {"scores": examination.score(examination.reply(base.model))}

        return self._cache.get(self._name("reference scores", base_policy, base.tokens_sha256, draw), build)["scores"]

    def _start_training(self, base: Base, draw: Draw) -> FullTraining | AdapterTraining:
        if self._document["lora"] is None:
            return FullTraining(base.model)
        base.adapter = AdapterTraining(base.model, self._document["lora"], draw.seed(Stream.ADAPTER))
        return base.adapter

    def _name(self, made: str, base_policy: int, tokens_sha256: str, draw: Draw | None = None) -> dict[str, Any]:
        """In the cache: by all that decides its bits. What tokens there are, templates and their libraries decide."""
        return {
            "makes": made,
            "arena": hash_document(self._document),
            "base_policy": base_policy,
            "tokens": tokens_sha256,
            "draw": None if draw is None else draw.document(),
            "transformers": transformers.__version__,
            "device": torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu",
            "machine": describe_machine(),
        }


class HfTask:
    """One training: a policy, a draw's rows to train it on, and those to measure it on."""

    def __init__(
        self,
        training: FullTraining | AdapterTraining,
        batches: "PairBatches",
        examination: Examination,
        reference_scores: Tensor | None,
    ) -> None:
        self._training, self._examination, self._reference_scores = training, examination, reference_scores
        self.policy = PairPolicy(training.model)
        self.batches = batches

    def measure(self) -> dict[str, float | None]:
        return self._examination.measure(
            self._training.model, self._training.speak_as_reference, self._reference_scores
        )


class PairPolicy:
    def __init__(self, model: Any) -> None:
        self.model = model

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        return (each for each in self.model.parameters() if each.requires_grad)

    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        """Both answers in one forward pass: first all that are chosen, then all that are rejected."""
        said = find_log_probabilities(self.model, Padded(batch.rows["tokens"], batch.rows["is_completion"]))
        chosen, rejected = said.chunk(2)
        return {"policy_chosen_logps": chosen, "policy_rejected_logps": rejected}


class PairBatches:
    """Each pass over the rows in an order of its own; what does not fill a batch is left out of it."""

    def __init__(self, base: Base, rows: Sequence[int], size: int, seed: int) -> None:
        self._pairs, self._reference, self._device = base.pairs, base.reference, base.model.device
        self._rows, self._size = list(rows), size
        self._order = torch.Generator().manual_seed(seed)
        self._left: list[int] = []
        self._columns: dict[str, Tensor] = {}

    def add_scores(self, read: Tensor) -> None:
        """The rows' auxiliary scores, and what is to be expected of their prompts."""
        scores = torch.tensor([pair.row.scores for pair in self._pairs])
        values = find_values(read, scores, self._rows)
        self._columns = {"chosen_aux": scores[:, 0], "rejected_aux": scores[:, 1], "prompt_value": values}

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - pairs are not sampled from the policy that trains
        if len(self._left) < self._size:
            order = torch.randperm(len(self._rows), generator=self._order)
            self._left = [self._rows[place] for place in order.tolist()]
        rows, self._left = self._left[: self._size], self._left[self._size :]
        return self._collate(rows)

    def _collate(self, rows: Sequence[int]) -> Batch:
        pairs = [self._pairs[row] for row in rows]
        answers = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
        padded = pad([pair.prompt for pair in (*pairs, *pairs)], answers, self._device)
        reference = self._reference[list(rows)].to(self._device)
        lengths = padded.is_completion.sum(1).float()
        inputs = {
            "reference_chosen_logps": reference[:, 0],
            "reference_rejected_logps": reference[:, 1],
            "chosen_lengths": lengths[: len(pairs)],
            "rejected_lengths": lengths[len(pairs) :],
            "annotator": torch.tensor([pair.row.annotator for pair in pairs], device=self._device),
            **{name: each[list(rows)].to(self._device) for name, each in self._columns.items()},
        }
        return Batch(inputs=inputs, rows={"tokens": padded.tokens, "is_completion": padded.is_completion})


def check_contents(document: Mapping[str, Any], base_policy: int) -> None:
    """Raises FilesChanged where a file is not what the arena was registered with, OSError where it is not there."""
    check_model(document["models"][base_policy])
    check_data(document["data"])


def divide_rows(document: Mapping[str, Any], pairs: Sequence[Pair], draw: Draw) -> Division:
    plan, batch = document["evaluation"], document["recipe"]["batch"]
    return divide(pairs, draw, held_out=plan["held_out"], prompts=plan["prompts"], batch=batch)


def read_pairs(document: Mapping[str, Any], base_policy: int, tokenizer: Any) -> list[Pair]:
    """All rows as a base policy reads them. Raises BadRows before anything trains where one cannot be used."""
    path = Path(document["data"]["path"])
    reach = find_reach(document["models"][base_policy]["path"])
    limits = Limits(
        max_length=document["recipe"]["max_length"],
        max_new_tokens=document["evaluation"]["max_new_tokens"],
        max_positions=reach.positions,
        vocabulary=reach.vocabulary,
    )
    bad: Bad = {}
    rows = read_preferences(path, bad, with_scores=document["family"] == Family.AUXILIARY)
    pairs = tokenise(rows, tokenizer, limits, bad)
    if bad:
        raise BadRows(path, bad)
    if not pairs:
        raise ValueError(f"{path} holds no rows.")
    return pairs
