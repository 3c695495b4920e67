"""What changed between the sources of two losses, as a unified diff."""

from difflib import unified_diff

MOST_CHARACTERS = 10_000
"""Of a source that is compared: the time that it takes grows with the square of its lines."""


def tell_changes(older: str, newer: str, *, names: tuple[str, str]) -> str | None:
    """Empty where they are the same; None where one of them is too long."""
    if max(len(older), len(newer)) > MOST_CHARACTERS:
        return None
    # A name is one line here, whatever it holds.
    was, now = (" ".join(name.split()) for name in names)
    lines = unified_diff(older.splitlines(), newer.splitlines(), was, now, lineterm="")
    return "".join(f"{line}\n" for line in lines)
