"""Losses as language models write them; they stand as plain text beside this module."""

import re
from pathlib import Path

from discovery_service.domain.families import Family
from tests.jail.compiler.running import pairwise

HERE = Path(__file__).parent
ALL_NUMBERS = "annotator, beta, progress"
MARK = "  # <- here"


def _read(name: str) -> dict[str, str]:
    """Title → text, of a file with titles like `## title`."""
    parts = re.split(r"^## (.+)\n", (HERE / name).read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


ACCEPTED = {name: pairwise(body, ALL_NUMBERS) for name, body in _read("accepted.txt").items()}
REFUSED = {title: pairwise(body, ALL_NUMBERS) for title, body in _read("refused.txt").items()}
OTHER_FAMILIES = {title: (Family(title.partition(" ")[0]), text) for title, text in _read("families.txt").items()}


def marked_line(text: str) -> int | None:
    return next((number for number, line in enumerate(text.splitlines(), start=1) if line.endswith(MARK)), None)
