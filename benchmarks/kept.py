"""What a long benchmark has measured already, a line each in a file: begun again, it goes on where it was ended."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Key = Mapping[str, Any]


class Kept:
    """A line that was cut when the machine went down is measured again."""

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            path.unlink(missing_ok=True)
        self._known = dict(_read(path)) if path.exists() else {}

    def find(self, key: Key) -> dict[str, Any] | None:
        return self._known.get(_name(key))

    def get(self, key: Key, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the file has under the key; measured and written down at once where it has nothing."""
        if (found := self.find(key)) is None:
            found = self._known[_name(key)] = measure()
            with self.path.open("a") as file:
                file.write(json.dumps({"key": key, "found": found}) + "\n")
        return found


def _read(path: Path) -> list[tuple[str, dict[str, Any]]]:
    read = []
    text = path.read_text()
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        read.append((_name(row["key"]), row["found"]))
    if text and not text.endswith("\n"):
        with path.open("a") as file:
            file.write("\n")
    return read


def _name(key: Key) -> str:
    return json.dumps(key, sort_keys=True)
