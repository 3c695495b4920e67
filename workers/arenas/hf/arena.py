"""Arenas of the kind `hf` on one device: an operator's models and preferences kept warm, trainings made of them.

Every draw divides the same rows anew into those that are trained on and those that are held out. So an interval over
draws is about divisions of this file, not about another one; and draws of all purposes share its rows, which those of
a synthetic arena do not.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from discovery_service.domain.arenas import hash_document
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw, Stream
from discovery_service.domain.states import Purpose
from discovery_service.domain.worlds import Precision
from workers.arenas.arena import Batches, Policy
from workers.arenas.cache import Cache, Tensors
from workers.arenas.hf import pair_rows, record_rows
from workers.arenas.hf.both import tell_both
from workers.arenas.hf.contents import check_data, check_model
from workers.arenas.hf.division import Division, divide
from workers.arenas.hf.examination import Examination, autocast
from workers.arenas.hf.folders import (
    AdapterTraining,
    FullTraining,
    find_ends,
    find_reach,
    load_model,
    load_tokenizer,
)
from workers.arenas.hf.pair_rows import PairRows
from workers.arenas.hf.preferences import read_preferences
from workers.arenas.hf.question_rows import QuestionRows, check_scale
from workers.arenas.hf.questions import read_questions
from workers.arenas.hf.reading import read_prompts
from workers.arenas.hf.record_rows import RecordRows, pad_replies, read_both
from workers.arenas.hf.records import read_records
from workers.arenas.hf.replies import make_uniforms
from workers.arenas.hf.rows import Bad, BadRows
from workers.arenas.hf.scorers import Scorer, make_scorer
from workers.arenas.hf.speaking import Speaking
from workers.arenas.hf.tokenising import (
    Asked,
    Limits,
    Pair,
    Posed,
    Recorded,
    hash_tokens,
    tokenise,
    tokenise_questions,
    tokenise_records,
)
from workers.arenas.machine import describe_machine

Rows = PairRows | RecordRows | QuestionRows
Items = Sequence[Pair] | Sequence[Recorded] | Sequence[Posed]
Keep = Callable[[str, Callable[[], Tensor]], Tensor]
"""Makes something that a base policy says of the rows, or takes it from the cache, by its name."""
_REPLIES = Draw(Purpose.CALIBRATE, "replies")


@dataclass
class Base:
    """A base policy, with the rows as it reads them."""

    model: Any
    speaking: Speaking
    rows: Rows
    tokens_sha256: str
    adapter: AdapterTraining | None = None
    """Of the last training, still in the model."""

    def held_bytes(self) -> int:
        weights = sum(each.nbytes for each in self.model.state_dict().values())
        return weights + sum(each.nbytes for item in self.rows.items for each in item.tokens)


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
        division = divide_rows(self._document, base.rows.items, draw)
        if base.adapter is not None:
            base.adapter.end()
            base.adapter = None
        examination = self._plan_examination(base, division, draw)
        reference_scores = self._find_reference_scores(base_policy, base, examination, draw)
        if isinstance(base.rows, QuestionRows):
            assert reference_scores is not None
            check_scale(reference_scores)
        batch = self._document["recipe"]["batch"]
        training = self._start_training(base, draw)
        batches = base.rows.make_batches(training, division.trained, batch, draw.seed(Stream.ORDER))
        return HfTask(training, base.rows.follow(training.model), batches, examination, reference_scores)

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
        # Before the weights, which take longer.
        self._find_scorer()
        path = models[base_policy]["path"]
        tokenizer = load_tokenizer(path)
        items = read_items(self._document, base_policy, tokenizer)
        is_frozen = self._document["lora"] is not None
        model = load_model(path, self._device, self._precision, is_frozen=is_frozen)
        tokens_sha256 = hash_tokens(items)
        tokens = self._evaluation["max_new_tokens"]
        speaking = Speaking(tokenizer, find_ends(model, tokenizer), tokens, self._find_scorer())

        def keep(made: str, make: Callable[[], Tensor]) -> Tensor:
            def build() -> Tensors:
                with autocast(self._device, self._precision):
                    return {made: make()}

            return self._cache.get(self._name(made, base_policy, tokens_sha256), build)[made]

        return Base(model, speaking, self._tell_rows(model, items, speaking, keep), tokens_sha256)

    def _tell_rows(self, model: Any, items: Items, speaking: Speaking, keep: Keep) -> Rows:
        """What the base policy says of the rows, and has read of them."""
        family = Family(self._document["family"])
        if family is Family.MATCHING:
            posed = [each for each in items if isinstance(each, Posed)]
            return QuestionRows(posed, speaking, self._precision, self._document["recipe"]["group"])
        if family is Family.OUTCOME:
            records = [each for each in items if isinstance(each, Recorded)]
            padded = keep("replies", lambda: pad_replies(_reply(model, records, speaking)))
            replies = [each[each >= 0] for each in padded]
            both = record_rows.list_both(records, replies)
            return RecordRows(
                records,
                replies,
                keep("reference", lambda: tell_both(model, both)),
                keep("read", lambda: read_both(model, both)),
            )
        pairs = [each for each in items if isinstance(each, Pair)]
        read = None
        if family is Family.AUXILIARY:
            read = keep("prompts as read", lambda: read_prompts(model, [pair.asked for pair in pairs]))
        return PairRows(pairs, keep("reference", lambda: tell_both(model, pair_rows.list_both(pairs))), read)

    def _find_scorer(self) -> Scorer | None:
        """Imported once, as it may take long; None where nothing is configured."""
        described = self._evaluation["scorer"]
        if self._scorer is None and described is not None:
            self._scorer = make_scorer(described)
        return self._scorer

    def _plan_examination(self, base: Base, division: Division, draw: Draw) -> Examination:
        return Examination(
            rows=base.rows,
            division=division,
            speaking=base.speaking,
            kl_weight=self._evaluation["kl_weight"],
            precision=self._precision,
            seed=draw.seed(Stream.EVALUATION_SAMPLING),
        )

    def _find_reference_scores(
        self, base_policy: int, base: Base, examination: Examination, draw: Draw
    ) -> Tensor | None:
        """Of the base policy's own replies from the same random numbers."""
        if examination.speaking.scorer is None:
            return None

        def build() -> dict[str, Tensor]:
            with autocast(self._device, self._precision):
                replies = examination.reply(base.model)
            # As the policy's are: equal replies have equal scores.
            return {"scores": examination.score(replies)}

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
        policy: Policy,
        batches: Batches,
        examination: Examination,
        reference_scores: Tensor | None,
    ) -> None:
        self._training, self._examination, self._reference_scores = training, examination, reference_scores
        self.policy, self.batches = policy, batches

    def measure(self) -> dict[str, float | None]:
        return self._examination.measure(
            self._training.model, self._training.speak_as_reference, self._reference_scores
        )


def _reply(model: Any, records: Sequence[Recorded], speaking: Speaking) -> list[Tensor]:
    """The base policy's own answer to each row's prompt, the same in every draw."""
    uniforms = make_uniforms(len(records), speaking.max_new_tokens, _REPLIES.seed(Stream.SECOND_ANSWERS))
    return speaking.reply(model, [each.asked for each in records], uniforms)


def check_contents(document: Mapping[str, Any], base_policy: int) -> None:
    """Raises FilesChanged where a file is not what the arena was registered with, OSError where it is not there."""
    check_model(document["models"][base_policy])
    check_data(document["data"])


def divide_rows(document: Mapping[str, Any], items: Sequence[Asked], draw: Draw) -> Division:
    plan = document["evaluation"]
    return divide(items, draw, held_out=plan["held_out"], prompts=plan["prompts"], batch=count_rows(document))


def count_rows(document: Mapping[str, Any]) -> int:
    """That a step takes."""
    recipe = document["recipe"]
    return int(recipe["batch"]) // int(recipe.get("group", 1))


def read_items(document: Mapping[str, Any], base_policy: int, tokenizer: Any) -> Items:
    """All rows as a base policy reads them. Raises BadRows before anything trains where one cannot be used."""
    path = Path(document["data"]["path"])
    reach = find_reach(document["models"][base_policy]["path"])
    limits = Limits(
        max_length=document["recipe"]["max_length"],
        max_new_tokens=document["evaluation"]["max_new_tokens"],
        is_answered=document["family"] in (Family.OUTCOME, Family.MATCHING),
        max_positions=reach.positions,
        vocabulary=reach.vocabulary,
    )
    bad: Bad = {}
    items: Items
    if document["family"] == Family.MATCHING:
        items = tokenise_questions(read_questions(path, bad), tokenizer, limits, bad)
    elif document["family"] == Family.OUTCOME:
        items = tokenise_records(read_records(path, bad), tokenizer, limits, bad)
    else:
        preferences = read_preferences(path, bad, with_scores=document["family"] == Family.AUXILIARY)
        items = tokenise(preferences, tokenizer, limits, bad)
    if bad:
        raise BadRows(path, bad)
    if not items:
        raise ValueError(f"{path} holds no rows.")
    return items
