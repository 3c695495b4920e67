"""What the repository's texts promise: links lead somewhere, targets exist, nothing belongs to one machine."""

import re
from pathlib import Path

from tests.house.tree import REPOSITORY, shown, text_files

# /home/me is the example's user.
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:root|Users|work|workspace|mnt|media|home/(?!me\b))[/\w.-]+")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
QUOTED_TARGET = re.compile(r"(?:`|^\s*(?:- )?(?:run: )?)make ([a-z-]+)", re.MULTILINE)
TARGET = re.compile(r"^([a-z-]+):(?!=)", re.MULTILINE)
CALLERS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", ".ci/run", ".github/workflows/ci.yml", "docs/deploy.md")


def test_no_text_names_a_path_of_one_machine() -> None:
    named = [
        shown(path, number)
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert named == []


def test_links_between_pages_lead_to_a_file_of_the_repository() -> None:
    dead = [
        f"{shown(page)} -> {target}"
        for page in text_files()
        if page.suffix == ".md"
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not _is_inside(page.parent / target)
    ]
    assert dead == []


def _is_inside(path: Path) -> bool:
    return path.exists() and path.resolve().is_relative_to(REPOSITORY)


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(TARGET.findall((REPOSITORY / "Makefile").read_text()))
    named = {caller: set(QUOTED_TARGET.findall((REPOSITORY / caller).read_text())) for caller in CALLERS}
    assert named[".ci/run"] == {"install", "check", "test"}
    assert {caller: missing for caller, called in named.items() if (missing := called - targets)} == {}
