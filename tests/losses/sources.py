"""Sources for the tests of the static check, as short as they can be."""

import ast
import json
import textwrap
from pathlib import Path
from typing import Any

from discovery_service.domain.families import Family
from discovery_service.losses.refusals import Refusal, RefusalCode, Refused
from discovery_service.losses.source import CheckedSource, check_source

DATA = Path(__file__).parents[1] / "data"
INPUTS = "policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta"
MARGIN = "(policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)"


def function(*body: str, parameters: str = INPUTS) -> str:
    """A loss whose margin is `z`; the lines of `body` follow."""
    lines = (f"z = {MARGIN}", *body) if parameters.startswith(INPUTS) else body
    return f"def loss({parameters}):\n" + "".join(f"    {line}\n" for line in lines)


def check(source: str, family: Family = Family.PAIRWISE, **given: Any) -> CheckedSource:
    return check_source(source, family, **given)


def refusals(source: str, family: Family = Family.PAIRWISE, **given: Any) -> list[Refusal]:
    try:
        check_source(source, family, **given)
    except Refused as refused:
        return list(refused.refusals)
    return []


def codes(source: str, family: Family = Family.PAIRWISE, **given: Any) -> set[RefusalCode]:
    return {refusal.code for refusal in refusals(source, family, **given)}


def list_published() -> dict[str, str]:
    """The text of each of DiscoPOP's losses, as indented as it stands in its class."""
    text = (DATA / "discopop_losses.txt").read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    functions = [node for node in ast.parse(textwrap.dedent(text)).body if isinstance(node, ast.FunctionDef)]
    return {node.name: "".join(lines[node.lineno - 1 : node.end_lineno]) for node in functions}


def is_one_sentence(message: str) -> bool:
    return message.endswith(".") and ". " not in message and message.isprintable() and len(message) < 500


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]
