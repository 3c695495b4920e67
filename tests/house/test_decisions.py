"""The pages in docs/decisions keep the form that the first of them lays down."""

import re
from pathlib import Path

import pytest

from tests.house.tree import REPOSITORY

FOLDER = REPOSITORY / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
HEADINGS = ["Context", "Rule", "Consequence", "Rejected"]
MAX_LINES = 60


def test_they_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:4]) for page in PAGES] == list(range(1, len(PAGES) + 1))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_short_and_has_the_four_headings(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.name[:4]}: ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert len(text.splitlines()) <= MAX_LINES


def test_the_index_lists_each_under_its_title() -> None:
    listed = re.findall(r"^\| \[(\d{4})\]\((.+?)\) \| (.+?) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    titles = [(page.name[:4], page.name, page.read_text().splitlines()[0].partition(": ")[2]) for page in PAGES]
    assert listed == titles
