"""What every module of the repository keeps to, beyond what ruff and mypy can see."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.house.tree import python_files, shown

# Tests say what they are about by their names.
SOURCE = ("discovery_service", "workers", "migrations", "benchmarks")
MAX_LINES = 500
READS_ENVIRONMENT = {"environ", "environb", "getenv", "getenvb"}
MAY_READ_ENVIRONMENT = {
    "discovery_service/settings.py": "turns it into the tree of settings",
    "discovery_service/cli/local.py": "hands it on unread, to what builds the children's environments",
}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def _parsed(*top: str) -> Iterator[tuple[Path, ast.Module]]:
    return ((path, ast.parse(path.read_text(encoding="utf-8"))) for path in python_files(*top))


def test_the_tree_is_seen() -> None:
    assert {shown(path).partition("/")[0] for path in python_files()} >= {"discovery_service", "workers", "tests"}


def test_no_module_is_longer_than_500_lines() -> None:
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {place: lines for place, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_module_says_what_it_is_responsible_for() -> None:
    silent = [shown(path) for path, tree in _parsed(*SOURCE) if ast.get_docstring(tree) is None]
    assert silent == []


def test_only_the_settings_read_the_environment() -> None:
    readers = [
        shown(path, node.lineno)
        for path, tree in _parsed("discovery_service", "workers")
        if shown(path) not in MAY_READ_ENVIRONMENT
        for node in ast.walk(tree)
        if _reads_environment(node)
    ]
    assert readers == []


def _reads_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom) and node.module == "os":
        return any(alias.name in READS_ENVIRONMENT for alias in node.names)
    return (
        isinstance(node, ast.Attribute)
        and node.attr in READS_ENVIRONMENT
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    )


def test_nothing_is_left_unfinished() -> None:
    marks = [
        shown(path, token.start[0])
        for path in python_files()
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        if token.type == tokenize.COMMENT and UNFINISHED.search(token.string)
    ]
    stubs = [
        shown(path, node.lineno)
        for path, tree in _parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "NotImplementedError"
    ]
    assert marks + stubs == []
