"""An environment with nothing but what the API image installs, laid out from what is installed here."""

import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.tree import REPOSITORY

COPIED = ("discovery_service", "migrations")
# -I and -S: nothing of the environment, the user or this environment's site-packages is on the path.
_START = "import runpy, sys; sys.path.append(sys.argv[1]); del sys.argv[:2]; "
_RUN_MODULE = _START + "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"


def lay_out(directory: Path) -> None:
    """Link the group's distributions, all that they need, and the packages that the image copies."""
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["dependency-groups"]
    for found in _closure(groups["api"]).values():
        for file in found.files or ():
            if ".." not in file.parts:
                place = directory / file
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(Path(str(file.locate())))
    for package in COPIED:
        (directory / package).symlink_to(REPOSITORY / package)
    project, own = distribution("discovery-service"), directory / "discovery_service-0.dist-info"
    own.mkdir()
    (own / "METADATA").write_text(str(project.metadata))
    (own / "entry_points.txt").write_text(project.read_text("entry_points.txt") or "")


def _closure(wanted: Iterable[str]) -> dict[str, Distribution]:
    """The distributions that the requirements bring along, by name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(line) for line in wanted]
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found[name] = distribution(name)
        for line in found[name].requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append(needed)
    return found


def run_code(directory: Path, code: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", "-c", _START + code, str(directory)]
    return subprocess.run(command, env={}, cwd=directory, capture_output=True, text=True, timeout=timeout_s)


def module_command(directory: Path, module: str, *arguments: str) -> list[str]:
    """What runs `python -m module` there."""
    return [sys.executable, "-I", "-S", "-c", _RUN_MODULE, str(directory), module, *arguments]
