"""What arenas are built from, on disk by content: the document of how a thing is made names its file.

Covered: several processes that want the same thing at once (one builds, the others wait), a builder that is killed, a
file that is cut or altered (it is made anew), a directory that is full or read-only (the thing is built and not kept).
Not covered: somebody who forges a file together with its checksum; file systems without flock.
"""

import fcntl
import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

Tensors = dict[str, Tensor]

_log = logging.getLogger(__name__)
_SUFFIX, _PARTIAL, _LOCK = ".safetensors", ".partial", ".lock"


@dataclass(frozen=True)
class Pruned:
    files: int
    freed_bytes: int
    kept_bytes: int


class Cache:
    """A directory that processes share. It may be deleted at any time: everything in it can be made anew."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def get(self, recipe: Mapping[str, Any], build: Callable[[], Tensors]) -> Tensors:
        """What the recipe makes: from its file, or built and kept. `build` must depend on nothing else."""
        path = self._path(recipe)
        found = read_tensors(path)
        if found is not None:
            _touch(path)
            return found
        try:
            with locked(path.with_suffix(_LOCK)):
                # Another process may have built it while this one waited.
                found = read_tensors(path)
                if found is None:
                    found = build()
                    _keep(path, found, recipe)
                return found
        except CannotLock as error:
            _log.warning("The cache of arenas cannot be used: %s", error)
            return build()

    def prune(self, keep_bytes: float = 0, *, used_since: float = -math.inf) -> Pruned:
        """Delete what was used longest ago until no more than that is left, what was not used since a time, as the
        clock counts seconds, and what killed builders left behind."""
        files = sorted(self._list(), key=lambda each: each[1].st_mtime, reverse=True)
        kept_bytes, freed_bytes, deleted = 0, 0, 0
        for path, status in files:
            fits = kept_bytes + status.st_size <= keep_bytes and status.st_mtime >= used_since
            if path.suffix == _SUFFIX and fits:
                kept_bytes += status.st_size
            elif _delete(path):
                freed_bytes += status.st_size
                deleted += path.suffix == _SUFFIX
        return Pruned(files=deleted, freed_bytes=freed_bytes, kept_bytes=kept_bytes)

    def _list(self) -> Iterator[tuple[Path, os.stat_result]]:
        if self.directory.is_dir():
            for path in self.directory.iterdir():
                if path.suffix in (_SUFFIX, _PARTIAL, _LOCK):
                    try:
                        yield path, path.stat()
                    except FileNotFoundError:
                        continue

    def _path(self, recipe: Mapping[str, Any]) -> Path:
        return self.directory / f"{hash_recipe(recipe)}{_SUFFIX}"


def hash_recipe(recipe: Mapping[str, Any]) -> str:
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_tensors(tensors: Tensors) -> str:
    """Of names, types, shapes and every bit."""
    return hashlib.sha256(save(tensors)).hexdigest()


def write_tensors(path: Path, tensors: Tensors, recipe: Mapping[str, Any]) -> None:
    """Whole or not at all: a reader never sees half a file."""
    text = json.dumps(recipe, sort_keys=True)
    metadata = {"recipe": text, "sha256": _hash_file(text, tensors)}
    partial = path.with_suffix(_PARTIAL)
    with partial.open("wb") as file:
        file.write(save(tensors, metadata))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_tensors(path: Path) -> Tensors | None:
    """None where there is no such file, or none that is what was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    try:
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        tensors = load(data)
        is_whole = metadata["sha256"] == _hash_file(metadata["recipe"], tensors)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        is_whole = False
    if not is_whole:
        _log.warning("%s is not what was written there; it is made anew.", path)
        return None
    return tensors


def _hash_file(recipe: str, tensors: Tensors) -> str:
    return hashlib.sha256(f"{recipe} {hash_tensors(tensors)}".encode()).hexdigest()


class CannotLock(Exception):
    """The directory cannot be written, or its file system knows no locks."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone among processes, until the block or the process ends. The lock's file goes with it."""
    file = _lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _lock(path: Path) -> Any:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise CannotLock(str(error)) from error
        # Whoever held it has deleted it: a newcomer makes and locks another one, so this one locks nothing.
        if _is_at(file.fileno(), path):
            return file
        file.close()


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _keep(path: Path, tensors: Tensors, recipe: Mapping[str, Any]) -> None:
    try:
        write_tensors(path, tensors, recipe)
    except OSError as error:
        _log.warning("%s cannot be kept: %s", path, error)


def _touch(path: Path) -> None:
    """So that pruning sees what is in use."""
    try:
        os.utime(path)
    except OSError as error:
        _log.debug("%s cannot be touched: %s", path, error)


def _delete(path: Path) -> bool:
    """Unless a builder is at it."""
    try:
        if path.suffix in (_LOCK, _PARTIAL):
            with path.with_suffix(_LOCK).open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not _is_at(file.fileno(), path.with_suffix(_LOCK)):
                    return False
                path.unlink(missing_ok=True)
                path.with_suffix(_LOCK).unlink(missing_ok=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
