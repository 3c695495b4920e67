"""constraints.txt pins everything that pyproject.toml asks for, within its bounds, and for every machine."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.tree import REPOSITORY

PINS = [line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
WANTED = [*PROJECT["dependencies"], *(name for extra in PROJECT["optional-dependencies"].values() for name in extra)]


def test_a_line_is_one_version_and_nothing_of_a_machine() -> None:
    # No URL, no path, no local label as in 2.13.0+cpu: another machine could not find those.
    assert [line for line in PINS if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []


@pytest.mark.parametrize("wanted", WANTED)
def test_a_requirement_is_pinned_within_its_bounds(wanted: str) -> None:
    pins = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in PINS)}
    requirement = Requirement(wanted)
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


# Below 3.11.3 redis needs async-timeout, and that is the Python of Debian 12.
@pytest.mark.parametrize("python", ["3.11.0", "3.12.0"])
def test_what_a_pinned_package_needs_on_any_supported_python_is_pinned(python: str) -> None:
    pinned = {canonicalize_name(line.partition("==")[0]) for line in PINS}
    needed = {name for package in pinned for name in _needs(package, python)}
    # What only a CUDA build of torch brings, torch pins itself.
    assert [name for name in sorted(needed - pinned) if not name.startswith(("nvidia-", "cuda-", "triton"))] == []


def _needs(package: str, python: str) -> Iterator[str]:
    environment = {"extra": "", "python_version": python.rpartition(".")[0], "python_full_version": python}
    try:
        requirements = map(Requirement, importlib.metadata.requires(package) or [])
    except importlib.metadata.PackageNotFoundError:
        return  # of an extra that is not installed here
    for each in requirements:
        if each.marker is None or each.marker.evaluate(environment):
            yield canonicalize_name(each.name)


def test_torch_stays_on_the_release_that_graphs_depend_on() -> None:
    bounds = [Requirement(name).specifier for name in WANTED if Requirement(name).name == "torch"]
    assert [str(bound) for bound in bounds] == ["<2.14,>=2.13"]


def test_the_api_group_is_a_part_of_the_base_with_the_same_bounds() -> None:
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["dependency-groups"]
    left_out = set(PROJECT["dependencies"]) - set(groups["api"])
    assert set(groups["api"]) <= set(PROJECT["dependencies"])
    assert {Requirement(name).name for name in left_out} == {"numpy", "openai", "torch", "transformers"}
