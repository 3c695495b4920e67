"""Code as a prompt shows it: without docstrings, in a fence that nothing in it closes.

Whoever wrote the code decides what its docstrings say and how long they are. What its author thought stands beside it,
shortened.
"""

import ast
import re
from functools import lru_cache

_SHORTEST_FENCE = 3


@lru_cache(maxsize=64)
def show_code(source: str) -> str:
    """The same few sources are shown again with each cut that a prompt needs."""
    code = drop_docstrings(source).strip()
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(_SHORTEST_FENCE, longest + 1)
    return f"{fence}python\n{code}\n{fence}"


def drop_docstrings(source: str) -> str:
    """Untouched where it has none, and where it is no Python: the gate has said so then."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    said = [node for node in ast.walk(tree) if _has_docstring(node)]
    for node in said:
        assert isinstance(node, ast.Module | ast.FunctionDef)
        node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree) if said else source


def _has_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None
