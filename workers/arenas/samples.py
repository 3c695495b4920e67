"""A few rows of a synthetic arena as a person reads them, with what each answer is worth."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from workers.arenas.cache import Cache, Tensors
from workers.arenas.regimes import read_document
from workers.arenas.speakers import list_answers
from workers.arenas.texts import score, spell

Row = dict[str, Any]


def show_rows(document: Mapping[str, Any], count: int, cache_dir: Path, base_policy: int = 0) -> list[Row]:
    """The same ones each time. They are of no draw that anything is measured on."""
    regime, world, recipe = read_document(document)
    model = regime.load(world, recipe, base_policy, Cache(cache_dir))
    family = Family(document["family"])
    if family in _FEWER:
        recipe = replace(recipe, **dict.fromkeys(_FEWER[family], count), evaluation_texts=1)
    made = regime.build_draw(model, world, recipe, Draw(Purpose.CALIBRATE, "shown"))
    return _TELL[family](world, made)[:count]


_FEWER = {Family.PAIRWISE: ("pairs", "held_out_pairs"), Family.AUXILIARY: ("held_out_pairs",)}
"""What a draw need not make. Values and an outcome model are fitted to all rows, and short answers are few."""


def _tell_pairs(_: Any, made: Tensors) -> list[Row]:
    columns = {
        "chosen": _spell(made["texts"][:, 0]),
        "rejected": _spell(made["texts"][:, 1]),
        "chosen_reward": score(made["texts"][:, 0].long()).tolist(),
        "rejected_reward": score(made["texts"][:, 1].long()).tolist(),
        "annotator": made["annotator"].tolist(),
    }
    if "scores" in made:
        chosen, rejected = made["scores"].unbind(1)
        columns |= {"chosen_aux": chosen.tolist(), "rejected_aux": rejected.tolist()}
        columns["prompt_value"] = made["values"].tolist()
    return _turn(columns)


def _tell_outcomes(_: Any, made: Tensors) -> list[Row]:
    return _turn(
        {
            "recorded": _spell(made["recorded"]),
            "reward": score(made["recorded"].long()).tolist(),
            "outcome": made["outcomes"].tolist(),
            "predicted": made["predicted"].tolist(),
            "behavior_logp": made["behavior"].tolist(),
            "sampled": _spell(made["sampled"]),
            "sampled_predicted": made["sampled_predicted"].tolist(),
        }
    )


def _tell_answers(world: Any, made: Tensors) -> list[Row]:
    """Of each prompt in turn, by the letters of natural tokens and the numbers of junk."""
    spelt = ["".join(map(_letter(world.natural), answer)) for answer in list_answers(world).tolist()]
    chances = made["reference"].sum(2).exp()
    rows = [
        {"prompt": prompt, "answer": spelt[answer], "reward": float(made["rewards"][prompt, answer]), "chance": chance}
        for prompt, row in enumerate(chances.tolist())
        for answer, chance in enumerate(row)
    ]
    return sorted(rows, key=lambda row: -row["chance"])


def _letter(natural: int) -> Callable[[int], str]:
    return lambda token: chr(ord("a") + token) if token < natural else str(token - natural)


_TELL: Mapping[Family, Callable[[Any, Tensors], list[Row]]] = {
    Family.PAIRWISE: _tell_pairs,
    Family.AUXILIARY: _tell_pairs,
    Family.OUTCOME: _tell_outcomes,
    Family.MATCHING: _tell_answers,
}


def _spell(texts: Tensor) -> list[str]:
    return [spell(text) for text in texts]


def _turn(columns: Mapping[str, list[Any]]) -> list[Row]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
