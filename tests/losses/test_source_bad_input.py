"""Hostile and broken text: refused at once, with one sentence, and never anything but Refused."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.families import Family
from discovery_service.losses.refusals import RefusalCode as Code
from discovery_service.losses.refusals import Refused
from discovery_service.losses.source import check_source
from tests.losses.sources import check, function, is_one_sentence, refusals, rows

LOSS = function("return F.softplus(-beta * z)")
# The slowest of these takes 25 ms; what this is for are minutes.
ENDLESS_S = 30

HOSTILE = {
    "a megabyte": ("x = 1\n" * 170_000, Code.TOO_LONG),
    "a megabyte of surrogates": ("\ud800" * 1_000_000, Code.TOO_LONG),
    "10,000 parentheses": ("x = " + "(" * 10_000 + ")" * 10_000, Code.TOO_LONG),
    "8,000 parentheses": ("x = " + "(" * 8_000 + ")" * 8_000, Code.TOO_DEEP),
    "open brackets": ("[{(" * 5_000, Code.TOO_DEEP),
    "signs": ("x = " + "-" * 16_000 + "1", Code.TOO_DEEP),
    "signs on many lines": ("x = (" + "-\n" * 390 + "1)", Code.TOO_DEEP),
    "not": ("x = " + "not " * 4_000 + "1", Code.TOO_DEEP),
    "lambdas": ("x = " + "lambda: " * 2_000 + "1", Code.TOO_DEEP),
    "a long sum": ("x = 1" + " + 1" * 2_000, Code.TOO_DEEP),
    "a long chain of attributes": ("x = a" + ".b" * 2_000, Code.TOO_DEEP),
    "a long chain of calls": ("x = f" + "()" * 2_000, Code.TOO_DEEP),
    "many conditions": ("x = 1" + " if 1 else 1" * 1_000, Code.TOO_DEEP),
    "nested blocks": ("".join(" " * depth + "if 1:\n" for depth in range(120)), Code.NOT_PYTHON),
    "a long comment in letters beyond ASCII": ("#" + "é" * 16_000, Code.NO_ENTRY),
    "many statements": ("x=1;" * 4_000, Code.TOO_LONG),
    "many lines": ("\n" * 500, Code.TOO_LONG),
    "a long number": ("x = " + "9" * 5_000, Code.NUMBER_TOO_LARGE),
    "a long name": ("x" * 16_000 + " = 1", Code.FORBIDDEN_NAME),
    "a string without end": ('x = """' + "\\" * 16_001, Code.NOT_PYTHON),
    "strings without end": ('x = """\\' * 2_000, Code.NOT_PYTHON),
    "NUL": (LOSS + "\0", Code.FORBIDDEN_CHARACTER),
    "NUL in a comment": (LOSS + "# \0", Code.FORBIDDEN_CHARACTER),
    "a carriage return that hides a line": (LOSS + "# \rimport os\n", Code.FORBIDDEN_CHARACTER),
    "a form feed": (LOSS + "\f", Code.FORBIDDEN_CHARACTER),
    "a line separator": (LOSS + "# \u2028import os", Code.FORBIDDEN_CHARACTER),
    "right to left": (LOSS + "# \u202e", Code.FORBIDDEN_CHARACTER),
    "an isolate in a docstring": (f'"""\u2066"""\n{LOSS}', Code.FORBIDDEN_CHARACTER),
    "a zero-width space": (LOSS.replace("beta", "be\u200bta"), Code.FORBIDDEN_CHARACTER),
    "a byte order mark within": (LOSS + "# \ufeff", Code.FORBIDDEN_CHARACTER),
    "a tag character": (LOSS + "# \U000e0041", Code.FORBIDDEN_CHARACTER),
    "a lone surrogate": (LOSS + "# \udfff", Code.FORBIDDEN_CHARACTER),
    "a Cyrillic letter": (LOSS.replace("beta", "bet\u0430"), Code.FORBIDDEN_CHARACTER),
    "a letter that Python reads as another": (LOSS.replace("beta", "\U0001d41bet\u00aa"), Code.FORBIDDEN_CHARACTER),
    "a joiner in a name": (LOSS.replace("beta", "be\u200dta"), Code.FORBIDDEN_CHARACTER),
    "a Greek name": (LOSS + "\N{GREEK SMALL LETTER BETA} = 1", Code.FORBIDDEN_CHARACTER),
    "a space that is none": (LOSS.replace("return ", "return\u00a0"), Code.FORBIDDEN_CHARACTER),
    "a typographic quote": (LOSS + "\u201ctext\u201d", Code.FORBIDDEN_CHARACTER),
    "tabs and spaces": ("if 1:\n\tx=1\n        y=1\n", Code.NOT_PYTHON),
    "prose": ("Sure, here is the loss you asked for.", Code.NOT_PYTHON),
    "half a function": (LOSS[:-5], Code.NOT_PYTHON),
    "Markdown": (f"```python\n{LOSS}```\n", Code.NOT_PYTHON),
    "nothing": ("", Code.NO_ENTRY),
    "another encoding": ("# -*- coding: utf-7 -*-\n+AGkAbQBwAG8AcgB0ACAAbwBz-\n", Code.NOT_PYTHON),
}


@pytest.mark.timeout(ENDLESS_S)
@pytest.mark.parametrize(("source", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_refused_with_one_sentence(source: str, code: Code) -> None:
    (refusal,) = refusals(source)
    assert refusal.code is code
    assert is_one_sentence(refusal.message)


@pytest.mark.timeout(ENDLESS_S)
def test_updates_of_names_that_share_memory_are_found_in_no_time() -> None:
    names = [f"a{number} = a{number - 1}" for number in range(1, 170)]
    lines = ["a0 = policy_chosen_logps", *names, *["a0 += 1"] * 200, "return a0"]
    source = function(*lines)
    assert {each.code for each in refusals(source)} == {Code.IN_PLACE}


def test_comments_and_docstrings_may_be_in_any_script() -> None:
    plain = check(LOSS)
    for words in ("δοκιμή Δ", "損失関数", "функция", "دالة می\u200cشود", "हानि क्\u200dष", "פונקציה", "😀 ±∞"):
        assert check(f"# {words}\n{LOSS}# {words}") == plain
        documented = LOSS.replace("\n", f'\n    """{words}"""\n', 1)
        assert check(check(documented).text) == check(documented)


# What only shapes, dtypes, gradients and finite values can tell; the compiler and the probes refuse these.
LEFT_TO_LATER_STAGES = {
    "num_const_shape",
    "num_detach",
    "num_float",
    "num_half",
    "num_late_overflow",
    "num_wrong_shape",
}
ATTACKS = {row["name"]: row for row in rows("attacks.jsonl")}


def test_the_static_check_refuses_every_attack_but_those_on_numbers_and_shapes() -> None:
    passed = {name for name, row in ATTACKS.items() if not refusals(row["source"])}
    assert passed == LEFT_TO_LATER_STAGES


def test_what_is_said_to_attacks_is_always_a_sentence_to_act_on() -> None:
    messages = [refusal.message for row in ATTACKS.values() for refusal in refusals(row["source"])]
    assert [message for message in messages if not is_one_sentence(message)] == []


@given(st.text())
def test_any_text_is_accepted_or_refused_and_nothing_else(text: str) -> None:
    for refusal in refusals(text):
        assert is_one_sentence(refusal.message)


FRAGMENTS = (
    *("self", "self.beta", "self.x", "(", ")", "[", "]", ":", ",", "=", "+=", "lambda x:", "return", "if", "else"),
    *("for k in range(3):", "import torch", "global z", "assert", "raise", "with", "not", "-", "**", "10**9", "#"),
    *("F.softplus", ".detach()", ".item()", "'a'", '"""', "@", "*", "==", "\\", "{", "}", "None", "1e400", "x.shape"),
    *("while", "class A:", "yield", "await", "...", "try:", "getattr(self,'t',0.1)", "math.pi", "__x__", "é"),
    *("\n", "\n    ", " "),
)


@pytest.mark.parametrize("seed", range(8))
def test_sources_with_random_changes_are_refused_or_have_a_plain_form_that_is_its_own(seed: int) -> None:
    random_ = random.Random(seed)
    sources = [LOSS, *(row["source"] for row in ATTACKS.values() if len(row["source"]) < 2_000)]
    for _ in range(100):
        source = random_.choice(sources)
        for _ in range(random_.choice((1, 1, 2, 5))):
            place = random_.randrange(len(source) + 1)
            stop = place + random_.choice((0, 0, 3, 9))
            source = source[:place] + random_.choice(FRAGMENTS) + source[stop:]
        try:
            checked = check_source(source, Family.PAIRWISE)
        except Refused:
            continue
        assert check_source(checked.text, Family.PAIRWISE) == checked, source
