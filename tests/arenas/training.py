"""Trains a library loss, or a source, in an arena, as a runtime does."""

from typing import Any

from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.worlds import RECIPES, ArenaSize
from discovery_service.losses.graph import read_graph
from discovery_service.losses.known import list_known
from discovery_service.losses.source import check_source
from workers.arenas.arena import Arena, Task
from workers.jail.compiler import compile_source
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train

OPTIMISATION = Optimisation.of(vars(RECIPES[ArenaSize.MINI]))


def find_source(name: str) -> str:
    return next(each.text for each in list_known(Family.PAIRWISE) if each.name == name)


def train_source(task: Task, source: str, setting: Setting) -> None:
    program = Program(read_graph(compile_source(check_source(source, Family.PAIRWISE))))
    train(task, program, Family.PAIRWISE, setting, OPTIMISATION)


def evaluate(arena: Arena, source: str, setting: Setting, draw: Draw, base_policy: int = 0) -> Any:
    """The trained task and what was measured of it."""
    task = arena.open(base_policy, draw)
    train_source(task, source, setting)
    return task, task.measure()
