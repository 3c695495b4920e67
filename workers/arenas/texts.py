"""The texts of the synthetic arenas and what they are worth: clauses of a small grammar, coloured by a hidden mood.

A text repeats the clause `det noun verb [adv] adj conj`, the adverb with chance 1/2; of mood s its adjectives are
positive with chance .45 s, negative with .45 (1 - s), else neutral. After a clause it may end. The reward is the same
in every arena: the adjectives' valence, doubled after an adverb, less one for each word that repeats the one before.
"""

import torch
from torch import Tensor

PAD, BEGIN, END = 0, 1, 2
PROMPT, COMPLETION = 5, 20
"""Tokens of a prompt, its BEGIN among them, and of an answer at most, its END among them."""
TEXT = PROMPT + COMPLETION

_WORDS = {
    "det": "the a this that",
    "noun": "cook guest soup plate table waiter kitchen menu chair cellar garden bill dinner bread salad coffee",
    "verb": "was seemed looked felt became stayed appeared sounded remained turned grew proved",
    "pos": "lovely superb warm kind fresh clever bright tender charming delightful",
    "neg": "awful cold rude stale dull bitter gloomy greasy dreadful shabby",
    "neu": "round green tall local recent square wooden plain northern usual",
    "adv": "very truly rather most really utterly",
    "conj": "and but while so",
}


def _lay_out() -> tuple[dict[str, tuple[int, int]], list[str]]:
    words, ranges = ["", "", "."], {}
    for kind, listed in _WORDS.items():
        first = len(words)
        words += listed.split()
        ranges[kind] = (first, len(words))
    return ranges, words


RANGES, WORDS = _lay_out()
"""From which token to below which one a kind of word goes; what each token is as text."""
VOCABULARY = len(WORDS)

_FEWEST_OF_A_CLAUSE = 5
_EARLIEST_EXCERPT, _LATEST_EXCERPT = 2, 11
_COLOURED = 0.45


def _mark(kind: str, value: float) -> Tensor:
    marked = torch.zeros(VOCABULARY)
    marked[slice(*RANGES[kind])] = value
    return marked


VALENCE = _mark("pos", 1.0) + _mark("neg", -1.0)
IS_ADVERB = _mark("adv", 1.0)


def make_texts(count: int, seed: int, *, p_stop: float, length: int = TEXT) -> Tensor:
    """(count, length) tokens, padded behind the end."""
    generator = _make_generator(seed)
    shape = (count, -(-(length - 1) // _FEWEST_OF_A_CLAUSE))
    moods = torch.rand(count, 1, generator=generator)
    word = {kind: torch.randint(*bounds, shape, generator=generator) for kind, bounds in RANGES.items()}
    colour, has_adverb, stop = (torch.rand(shape, generator=generator) for _ in range(3))
    adjective = torch.where(colour < _COLOURED, word["neg"], word["neu"])
    adjective = torch.where(colour < _COLOURED * moods, word["pos"], adjective)
    ends = stop < p_stop
    every = torch.ones(shape, dtype=torch.bool)
    words = (word["det"], word["noun"], word["verb"], word["adv"], adjective, word["conj"], torch.full(shape, END))
    said = (every, every, every, has_adverb < 0.5, every, every, ends)
    is_reached = ends.cumsum(1) - ends.long() == 0
    return _fill(torch.stack(words, -1), torch.stack(said, -1) & is_reached[..., None], length)


def make_prompts(count: int, seed: int) -> Tensor:
    """(count, PROMPT) tokens: how texts begin. No clause ends inside."""
    return make_texts(count, seed, p_stop=0.0, length=PROMPT)


def make_excerpts(count: int, seed: int) -> Tensor:
    """Prompts from the middle of texts, which may begin and end at any place of a clause.

    Prompts that only differ in mood would be no other kind: the base policies do not carry it from prompt to answer
    (cross-entropy .005 above the language's entropy, about what the mood is worth; rewards differ by .003).
    """
    texts = make_texts(count, seed, p_stop=0.0, length=_LATEST_EXCERPT + PROMPT)
    places = torch.randint(_EARLIEST_EXCERPT, _LATEST_EXCERPT + 1, (count, 1), generator=_make_generator(seed + 1))
    words = texts.gather(1, places + torch.arange(PROMPT - 1))
    return torch.cat((texts[:, :1], words), 1)


def _make_generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _fill(words: Tensor, is_said: Tensor, length: int) -> Tensor:
    """What is said, one after the other behind BEGIN, cut at the length."""
    words, is_said = words.flatten(1), is_said.flatten(1)
    positions = is_said.cumsum(1)
    rows, columns = (is_said & (positions < length)).nonzero(as_tuple=True)
    texts = torch.full((len(words), length), PAD)
    texts[:, 0] = BEGIN
    texts[rows, positions[rows, columns]] = words[rows, columns]
    return texts


def score(texts: Tensor) -> Tensor:
    """The gold reward of each text's answer."""
    answers, before = texts[:, PROMPT:], texts[:, PROMPT - 1 : -1]
    weights = 1.0 + IS_ADVERB.to(texts.device)[before]
    repeats = (answers == before) & (answers != PAD)
    return (VALENCE.to(texts.device)[answers] * weights).sum(1) - repeats.float().sum(1)


def count_adverbs(texts: Tensor) -> Tensor:
    """In each text's answer."""
    return IS_ADVERB.to(texts.device)[texts[:, PROMPT:]].sum(1)


def is_answer(texts: Tensor) -> Tensor:
    """(texts, TEXT): which tokens are the answer's, END among them."""
    mask = texts != PAD
    mask[..., :PROMPT] = False
    return mask


def spell(text: Tensor) -> str:
    """One text as a person reads it, a bar between prompt and answer."""
    words = [WORDS[int(token)] for token in text]
    prompt, answer = (" ".join(filter(None, part)) for part in (words[:PROMPT], words[PROMPT:]))
    return f"{prompt} | {answer}".replace(" .", ".")
