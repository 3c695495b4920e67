"""What the images install: a wheel of the packages, with every module and every file of data in it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.house.tree import REPOSITORY, files, shown

PACKAGES = ("discovery_service", "workers", "migrations")
NOT_INSTALLED = {"Dockerfile"}


def test_the_wheel_has_every_file_of_the_packages(tmp_path: Path) -> None:
    ours = [path for path in files() if shown(path).split("/")[0] in PACKAGES and path.name not in NOT_INSTALLED]
    for path in [*ours, *(REPOSITORY / name for name in ("pyproject.toml", "README.md", "LICENSE"))]:
        copy = tmp_path / "source" / shown(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(tmp_path / "source")], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == {shown(path) for path in ours}
