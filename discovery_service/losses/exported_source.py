"""The way back: the loss that stands in an exported module, as a source that the gate can read.

What is left out is what every module has around its loss, by name. Anything else stays where it is, so that the gate
sees whatever somebody added.
"""

import ast

from discovery_service.losses.export import RESERVED

_MARKS = ("GRAPH_SHA256", "_check_against_stored")


def take_loss(text: str) -> str:
    """The text as it is where it is no exported module; else its loss, each line at its number."""
    if not all(mark in text for mark in _MARKS):
        return text
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text  # the gate says in its words what is wrong with it
    # As Python counts lines: a form feed or another separator of Unicode's ends none.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    of_module = {line for node in tree.body if _is_of_module(node) for line in _list_lines(node)}
    kept = ("" if number in of_module else line for number, line in enumerate(lines, start=1))
    return "\n".join(kept).rstrip() + "\n"


def _is_of_module(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.FunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
            return name in RESERVED
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
        case _:
            return False


def _list_lines(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)
