"""Whatever happens to the cache's directory or to who builds in it, everybody gets the one right thing."""

import fcntl
import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import IO

import pytest
import torch

from workers.arenas.cache import Cache, Tensors

RECIPE = {"makes": "a test", "number": 1}


class Builder:
    """Counts, across processes, how often it had to build."""

    def __init__(self, directory: Path) -> None:
        self.notes = directory / "built"

    def __call__(self) -> Tensors:
        with self.notes.open("a") as notes:
            notes.write("x")
        return {"numbers": torch.arange(1000.0), "text": torch.ones(3, 2, dtype=torch.uint8)}

    @property
    def count(self) -> int:
        return len(self.notes.read_text()) if self.notes.exists() else 0


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def _only_file(cache: Cache) -> Path:
    (path,) = cache.directory.iterdir()
    return path


def _same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_what_was_built_once_is_read_and_the_same(cache: Cache, build: Builder) -> None:
    first, second = cache.get(RECIPE, build), Cache(cache.directory).get(RECIPE, build)
    assert build.count == 1
    assert _same(first, second)
    assert second["text"].dtype is torch.uint8


def test_another_recipe_is_another_thing(cache: Cache, build: Builder) -> None:
    cache.get(RECIPE, build)
    cache.get({**RECIPE, "number": 2}, build)
    assert build.count == 2


@pytest.mark.parametrize("place", [0, 8, 40, 400, -1])
def test_one_altered_byte_anywhere_is_seen_and_the_thing_is_built_anew(
    cache: Cache, build: Builder, place: int
) -> None:
    whole = cache.get(RECIPE, build)
    path = _only_file(cache)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert _same(cache.get(RECIPE, build), whole)
    assert build.count == 2
    cache.get(RECIPE, build)
    assert build.count == 2


@pytest.mark.parametrize("kept", [0, 5, 100, 3000])
def test_a_file_that_was_cut_is_built_anew(cache: Cache, build: Builder, kept: int) -> None:
    whole = cache.get(RECIPE, build)
    path = _only_file(cache)
    path.write_bytes(path.read_bytes()[:kept])
    assert _same(cache.get(RECIPE, build), whole)
    assert build.count == 2


def _build_when_all_are_there(directory: Path, barrier: object, answers: object) -> None:
    build = Builder(directory)

    def slowly() -> Tensors:
        time.sleep(0.2)  # long enough that the others come to wait
        return build()

    barrier.wait()  # type: ignore[attr-defined]
    made = Cache(directory / "cache").get(RECIPE, slowly)
    answers.put(float(made["numbers"].sum()))  # type: ignore[attr-defined]


def test_of_processes_that_want_it_at_once_one_builds_and_all_get_it(tmp_path: Path, build: Builder) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_build_when_all_are_there, args=(tmp_path, barrier, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert build.count == 1
    assert found == [float(torch.arange(1000.0).sum())] * 3
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".safetensors"]


def _build_for_ever(directory: Path, is_building: Event) -> None:
    def build() -> Tensors:
        # As if it had been ended while it wrote.
        path = next((directory / "cache").glob("*.lock"))
        path.with_suffix(".partial").write_bytes(b"half")
        is_building.set()
        signal.pause()
        return {}

    Cache(directory / "cache").get(RECIPE, build)


def test_a_builder_that_is_killed_leaves_the_way_free(tmp_path: Path, cache: Cache, build: Builder) -> None:
    context = multiprocessing.get_context("spawn")
    is_building = context.Event()
    process = context.Process(target=_build_for_ever, args=(tmp_path, is_building))
    process.start()
    assert is_building.wait(60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    cache.get(RECIPE, build)
    assert build.count == 1
    assert [path.suffix for path in cache.directory.iterdir()] == [".safetensors"]


def test_where_nothing_can_be_kept_it_is_built_all_the_same(tmp_path: Path, build: Builder) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "cache")
    assert cache.get(RECIPE, build)["numbers"].sum() == cache.get(RECIPE, build)["numbers"].sum()
    assert build.count == 2


def test_a_builder_that_fails_keeps_nothing_and_says_so(cache: Cache, build: Builder) -> None:
    def fail() -> Tensors:
        raise OSError("no memory for that")

    with pytest.raises(OSError, match="no memory"):
        cache.get(RECIPE, fail)
    cache.get(RECIPE, build)
    assert build.count == 1


def test_pruning_keeps_what_was_used_last(cache: Cache, build: Builder) -> None:
    recipes = [{"number": number} for number in range(3)]
    for age, recipe in enumerate(recipes):
        cache.get(recipe, build)
        os.utime(cache._path(recipe), (1000 - age, 1000 - age))
    size = cache._path(recipes[0]).stat().st_size
    cache.get(recipes[2], build)  # used, and so the youngest
    pruned = cache.prune(keep_bytes=2 * size)
    assert (pruned.files, pruned.freed_bytes, pruned.kept_bytes) == (1, size, 2 * size)
    assert [cache._path(recipe).exists() for recipe in recipes] == [True, False, True]


def test_pruning_sweeps_up_after_killed_builders(cache: Cache, build: Builder) -> None:
    cache.get(RECIPE, build)
    for suffix in (".partial", ".lock"):
        _only = cache.directory / f"dead{suffix}"
        _only.write_bytes(b"half")
    cache.prune(keep_bytes=1 << 30)
    assert [path.suffix for path in cache.directory.iterdir()] == [".safetensors"]


def test_pruning_leaves_the_lock_of_a_newcomer_alone(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its builder came after the one whose lock was about to be deleted had ended."""
    lock = cache.directory / "work.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    flock = fcntl.flock

    def take_late(file: IO[str], how: int) -> None:
        lock.unlink()
        lock.write_text("newcomer")
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", take_late)
    cache.prune()
    assert lock.read_text() == "newcomer"
