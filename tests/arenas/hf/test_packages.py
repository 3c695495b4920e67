"""An operator's package by the bytes of its sources."""

import sys
from pathlib import Path

import pytest

from workers.arenas.hf.packages import read_package
from workers.arenas.hf.scorers import ScorerFailed, check_is_installed, read_scoring_package

INIT = """
from my_package.helper import WEIGHT

def score(prompt, completion):
    from . import late
    return WEIGHT + late.MORE
"""
FILES = {
    "__init__.py": INIT,
    "helper.py": "WEIGHT = 1",
    "late.py": "MORE = 10",
    "inner/__init__.py": "",
    "inner/deep.py": "from ..helper import WEIGHT",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    for name, source in FILES.items():
        (tmp_path / "my_package" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "my_package" / name).write_text(source)
    return tmp_path / "my_package"


@pytest.mark.parametrize("name", FILES)
def test_each_of_a_packages_sources_decides_its_digest(folder: Path, name: str) -> None:
    before = read_package("my_package.inner.deep").sha256
    assert read_package("my_package").sha256 == before
    (folder / "notes.txt").write_text("of no weight")
    assert read_package("my_package").sha256 == before
    (folder / name).write_text(f"{FILES[name]}\n")
    assert read_package("my_package").sha256 != before


def test_two_versions_run_side_by_side_each_as_it_was_read(folder: Path) -> None:
    first = read_package("my_package")
    first_function = first.load("my_package").score
    (folder / "helper.py").write_text("WEIGHT = 2")
    (folder / "late.py").write_text("MORE = 20")
    other = read_package("my_package")
    other_function = other.load("my_package").score
    with first.running():
        assert first_function("", "") == 11
    with other.running():
        assert other_function("", "") == 22
    with first.running():
        assert first_function("", "") == 11
    assert first.load("my_package.inner.deep").WEIGHT == 1


def test_it_leaves_what_the_process_has_of_that_name(folder: Path) -> None:
    import my_package  # type: ignore[import-not-found]

    try:
        package = read_package("my_package")
        assert package.load("my_package") is not my_package
        assert sys.modules["my_package"] is my_package
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
            del sys.modules[name]


def test_a_module_beside_no_others_and_one_without_a_package_file_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_flat.py").write_text("VALUE = 1")
    (tmp_path / "my_space").mkdir()
    (tmp_path / "my_space" / "part.py").write_text("VALUE = 2")
    assert read_package("my_flat").load("my_flat").VALUE == 1
    assert read_package("my_space.part").load("my_space.part").VALUE == 2


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("builtins:len", "builtins has no source in Python"),
        ("no_such_package:f", "there is no module no_such_package"),
        ("__main__:f", "cannot be imported"),
        ("torch.nn:f", "torch has compiled parts"),
    ],
)
def test_what_has_no_sources_to_compare_is_refused_in_a_sentence(place: str, says: str) -> None:
    with pytest.raises(ScorerFailed, match=says):
        read_scoring_package(place)


def test_a_package_that_only_this_process_finds_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one beside the file is for a command that was typed there; a training would look for it in vain."""
    (tmp_path / "beside.py").write_text("def nice(prompt, completion):\n    return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert read_package("beside").name == "beside"
    with pytest.raises(ScorerFailed, match="no module beside where trainings run"):
        check_is_installed("beside:nice")
    check_is_installed("discovery_service.version:nice")
