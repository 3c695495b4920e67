"""The repository's own files, found without git, which a machine with only Python and make may lack."""

import os
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_KEPT_HIDDEN = {".github", ".ci", ".pre-commit-config.yaml", ".dockerignore"}
_BUILT = {"__pycache__", "build", "dist"}
_BINARY = {".npz", ".png", ".gz", ".pyc", ".so", ".safetensors"}


def files() -> Iterator[Path]:
    for folder, folders, names in os.walk(REPOSITORY):
        here = Path(folder)
        folders[:] = [name for name in folders if _is_ours(name) and not (here / name / "pyvenv.cfg").exists()]
        yield from (here / name for name in names if _is_ours(name))


def python_files(*top: str) -> list[Path]:
    """All modules, or those below the folders that are named."""
    found = (path for path in files() if path.suffix == ".py")
    return sorted(path for path in found if not top or path.relative_to(REPOSITORY).parts[0] in top)


def text_files() -> list[Path]:
    return sorted(path for path in files() if path.suffix not in _BINARY)


def shown(path: Path, line: int | None = None) -> str:
    """The place as an editor takes it."""
    place = str(path.relative_to(REPOSITORY))
    return place if line is None else f"{place}:{line}"


def _is_ours(name: str) -> bool:
    return name in _KEPT_HIDDEN or not (name.startswith(".") or name in _BUILT or name.endswith(".egg-info"))
