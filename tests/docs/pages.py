"""The commands that README and documentation show, as they stand there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.house.tree import REPOSITORY

PAGES = (REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md")))
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = r"(?:\w+=\S+ )*((?:\.venv/bin/)?(?:discovery|python -m benchmarks\.\w+)\b"
_PROMPT = re.compile(rf"^(?:\$ )?{_COMMAND}.*)$", re.MULTILINE)
_INLINE = re.compile(rf"`{_COMMAND}[^`]*)`")


@dataclass(frozen=True)
class Shown:
    """A command, with the page that shows it."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def list_commands() -> list[Shown]:
    """Each once a page, without its comment."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for command in _list_in(text):
            shown = Shown(page.name, command)
            found[str(shown)] = shown
    return list(found.values())


def _list_in(text: str) -> Iterator[str]:
    blocks = [match.group(2) for match in _FENCE.finditer(text)]
    for command in (
        *(each for block in blocks for each in _PROMPT.findall(block)),
        *_INLINE.findall(_FENCE.sub("", text)),
    ):
        yield " ".join(re.split(r"\s{2,}#", command)[0].removeprefix(".venv/bin/").split())


def read_block(page: Path, language: str, holding: str) -> str:
    """The one block in that language with these words."""
    blocks = [body for kind, body in _FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]
    [block] = [body for body in blocks if holding in body]
    return str(block)
