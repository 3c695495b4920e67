"""What is in an arena's files, as digests: a changed file makes another arena."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class FilesChanged(Exception):
    """They are not what the arena was registered with."""


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(folder: Path) -> str:
    """Of a model: of all files that lie in it, without folders in it and hidden files."""
    digest = hashlib.sha256()
    for path in sorted(_list_files(folder)):
        digest.update(f"{path.name}\0{hash_file(path)}\n".encode())
    return digest.hexdigest()


def check_model(model: Mapping[str, Any]) -> None:
    """Raises FilesChanged or OSError."""
    check_digest(f"The model in {model['path']}", hash_folder(Path(model["path"])), model["sha256"])


def check_data(data: Mapping[str, Any]) -> None:
    check_digest(f"The file {data['path']}", hash_file(Path(data["path"])), data["sha256"])


def check_digest(what: str, found: str, registered: str) -> None:
    """Raises FilesChanged."""
    if found != registered:
        raise FilesChanged(
            f"{what} is not what the arena was registered with: put that back, or register the arena anew with"
            " `discovery arena add`."
        )


def _list_files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
