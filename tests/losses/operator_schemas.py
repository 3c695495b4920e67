"""Writes `discovery_service/losses/operator_table.py` from torch's own schemas.

    python -m tests.losses.operator_schemas [NAME.OVERLOAD ...]

rewrites every row and adds those that are named to the end; rows and comments are moved about by hand.
"""

import re
import sys
from pathlib import Path

import torch

from discovery_service.losses import operator_table

# What says where a tensor lies or how, and what only torch's own callers set: a graph never gives any of it.
_LEFT_OUT = re.compile(r"(Layout|MemoryFormat|Generator)\b|.* (pin_memory|implicit|sparse_grad|path)(=|$)")


def schema_row(name: str) -> str:
    """The row of an operator, as "add.Tensor", in the words of torch without marks of aliasing."""
    packet, _, overload = name.partition(".")
    schema = str(getattr(getattr(torch.ops.aten, packet), overload or "default")._schema)
    schema = re.sub(r"\((a( -> \*)?)\)", "", schema.removeprefix("aten::"))
    head, _, returns = schema.rpartition(" -> ")
    opening, _, arguments = head.partition("(")
    kept = [each for each in arguments[:-1].split(", ") if not _LEFT_OUT.match(each)]
    if kept[-1] == "*":
        kept.pop()
    row = f"{opening}({', '.join(kept)})"
    return row if returns == "Tensor" else f"{row} -> {returns}"


def row_name(row: str) -> str:
    return row.partition("(")[0]


def _main(added: list[str]) -> None:
    lines = [
        line if line.startswith("#") or not line else schema_row(row_name(line))
        for line in [*operator_table.ROWS.strip("\n").split("\n"), *added]
    ]
    path = Path(operator_table.__file__)
    head, _, _ = path.read_text(encoding="utf-8").partition('ROWS = """')
    path.write_text(f'{head}ROWS = """\n' + "\n".join(lines) + '\n"""\n', encoding="utf-8")


if __name__ == "__main__":
    _main(sys.argv[1:])
