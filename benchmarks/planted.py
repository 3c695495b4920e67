"""What wins in the planted arenas: DPO that takes account of how the annotator strays from Bradley-Terry.

Each is told the arena's true constant. Sources as a campaign would propose them, with the settings that tuning on tune
draws gave; in the arenas of the prototype the settings of its table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from discovery_service.domain.arenas import ARENAS
from discovery_service.domain.families import Family
from discovery_service.domain.worlds import World
from discovery_service.losses.graph import Graph, read_graph
from discovery_service.losses.known import list_known
from discovery_service.losses.source import check_source
from workers.jail.compiler import compile_source

PLANTED = "planted"
"""The name of an arena's winner among losses of the library."""
VARIANTS = Path(__file__).parent / "losses"
_PAIR = "policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps"
_GAP = "(reference_chosen_logps - reference_rejected_logps)"
_TEMPLATE = """
def planted_loss({parameters}, beta):
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    return {loss}
"""


@dataclass(frozen=True)
class Setup:
    """Beside beta what a table's line may change; the rate 0 stands for the size's own."""

    beta: float
    learning_rate: float = 0.0
    steps: int = 120


def _correct_length(world: World) -> str:
    offset = f"{world.length_bias} * (chosen_lengths - rejected_lengths)"
    return _write(f"-F.logsigmoid(beta * rho + {offset})", "chosen_lengths, rejected_lengths")


def _correct_fluency(world: World) -> str:
    return _write(f"-F.logsigmoid(beta * rho + {world.fluency_bias} * {_GAP})")


def _look_through_fog(world: World) -> str:
    return _write(f"-F.logsigmoid(beta * rho) * torch.exp(-{world.fog} * {_GAP}.abs())")


def _correct_sloppy(world: World) -> str:
    """Coins say nothing; who is wrong more often than right is to be read the other way round."""
    if world.sloppy_flip == 0.5:
        return _write("torch.where(annotator == 0, -F.logsigmoid(beta * rho), 0.0)", "annotator")
    return _write("-F.logsigmoid(torch.where(annotator == 0, beta * rho, -beta * rho))", "annotator")


def _write(loss: str, extra: str = "") -> str:
    return _TEMPLATE.format(parameters=", ".join(filter(None, (_PAIR, extra))), loss=loss)


WINNERS: dict[str, Callable[[World], str]] = {
    "terse": _correct_length,
    "panel": _correct_sloppy,
    "fog": _look_through_fog,
    "fluent": _correct_fluency,
}


def planted_source(arena: str) -> str:
    """Of a variant the form is that of the arena it comes from."""
    return WINNERS[arena.partition("-")[0]](ARENAS[arena].world)


def list_variants() -> list[str]:
    """Losses that a search would come up with, in files of their names."""
    return sorted(path.stem for path in VARIANTS.glob("*.py"))


def find_source(arena: str, loss: str) -> str:
    """Of a loss of the library, of a variant, or of the winner that was planted in this arena of any size."""
    if loss == PLANTED:
        return planted_source(arena.partition(":")[0])
    variant = VARIANTS / f"{loss}.py"
    return variant.read_text(encoding="utf-8") if variant.exists() else library_source(loss)


def library_source(name: str) -> str:
    return next(each.text for each in list_known(Family.PAIRWISE) if each.name == name)


@cache
def compile_trusted(text: str) -> Graph:
    """Of our own sources, here and not in the jail."""
    return read_graph(compile_source(check_source(text, Family.PAIRWISE)))
