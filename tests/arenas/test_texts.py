"""The texts are those of the grammar, and the reward sees their adjectives and repeats and nothing else."""

import re

import pytest
import torch

from workers.arenas.texts import (
    BEGIN,
    END,
    PAD,
    PROMPT,
    RANGES,
    TEXT,
    VOCABULARY,
    is_answer,
    make_excerpts,
    make_prompts,
    make_texts,
    score,
    spell,
)

COUNT = 4096
LETTERS = {"det": "d", "noun": "n", "verb": "v", "adv": "x", "pos": "a", "neg": "a", "neu": "a", "conj": "c"}
CLAUSES = re.compile(r"B(dnvx?ac)*(E|d?n?v?x?a?)_*|B(dnvx?ac)*dn?v?x?a?")


def _classify(text: torch.Tensor) -> str:
    letters = {PAD: "_", BEGIN: "B", END: "E"}
    for kind, (first, behind) in RANGES.items():
        letters |= dict.fromkeys(range(first, behind), LETTERS[kind])
    return "".join(letters[int(token)] for token in text)


def _first(kind: str) -> int:
    return RANGES[kind][0]


def _text(*kinds: str) -> torch.Tensor:
    prompt = [BEGIN, _first("det"), _first("noun"), _first("verb"), _first("adv")]
    answer = [PAD if kind == "pad" else END if kind == "end" else _first(kind) for kind in kinds]
    return torch.tensor([prompt + answer + [PAD] * (TEXT - PROMPT - len(answer))])


@pytest.mark.parametrize("p_stop", [0.0, 0.2])
def test_a_text_is_clauses_one_after_the_other(p_stop: float) -> None:
    texts = make_texts(500, 1, p_stop=p_stop)
    assert [word for word in map(_classify, texts) if not CLAUSES.fullmatch(word)] == []
    assert texts.max() < VOCABULARY
    assert texts.shape == (500, TEXT)


def test_without_a_chance_to_stop_every_text_is_full() -> None:
    assert bool((make_texts(COUNT, 1, p_stop=0.0) != PAD).all())


def test_a_fifth_of_the_texts_stops_after_the_first_clause() -> None:
    stopped = (make_texts(COUNT, 1, p_stop=0.2)[:, :8] == END).any(1).float().mean()
    assert float(stopped) == pytest.approx(0.2, abs=0.025)


def test_a_prompt_is_how_a_text_begins() -> None:
    prompts = make_prompts(COUNT, 3)
    assert {_classify(prompt) for prompt in prompts} == {"Bdnvx", "Bdnva"}


def test_a_text_has_one_mood() -> None:
    """Beside a positive adjective three in ten are positive, beside a negative one half as many."""
    texts = make_texts(COUNT, 1, p_stop=0.0)
    counts = {kind: ((texts >= first) & (texts < behind)).sum(1) for kind, (first, behind) in RANGES.items()}
    adjectives = counts["pos"] + counts["neg"] + counts["neu"]

    def others(kind: str) -> float:
        """The share of positive ones among the adjectives beside one of the kind."""
        positive = counts[kind] * (counts["pos"] - int(kind == "pos"))
        return float(positive.sum() / (counts[kind] * (adjectives - 1)).sum())

    assert others("pos") == pytest.approx(0.30, abs=0.02)
    assert others("neg") == pytest.approx(0.15, abs=0.02)
    assert others("neu") == pytest.approx(0.225, abs=0.02)


def test_an_excerpt_is_from_any_place_but_the_beginning() -> None:
    excerpts = [_classify(excerpt) for excerpt in make_excerpts(COUNT, 3)]
    assert {each[-1] for each in excerpts} == set("dnvxac")
    assert {each[1] for each in excerpts} == set("dnvxac")


@pytest.mark.parametrize(
    ("kinds", "reward"),
    [
        (("pos", "conj"), 2.0),
        (("neg", "conj", "det", "noun", "verb", "pos"), -1.0),
        (("neu", "conj", "conj"), -1.0),
        (("pos", "pos", "end"), 2.0),
        (("adv", "pos"), 1.0),
        (("neu", "end"), 0.0),
    ],
)
def test_the_reward_by_hand(kinds: tuple[str, ...], reward: float) -> None:
    """The prompt ends with an adverb, which counts for the answer's first word."""
    assert score(_text(*kinds)).tolist() == [reward]


def test_the_end_is_of_the_answer_and_what_is_behind_it_is_not() -> None:
    assert int(is_answer(_text("pos", "conj", "end")).sum()) == 3


def test_a_text_can_be_read() -> None:
    assert spell(_text("pos", "conj", "end")[0]) == "the cook was very | lovely and."


def test_the_same_seed_makes_the_same_texts_and_another_one_others() -> None:
    assert torch.equal(make_texts(50, 1, p_stop=0.2), make_texts(50, 1, p_stop=0.2))
    assert not torch.equal(make_texts(50, 1, p_stop=0.2), make_texts(50, 2, p_stop=0.2))
