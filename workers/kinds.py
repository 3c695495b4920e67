"""The kinds of workers, one for each queue of the pipeline."""

from enum import StrEnum


class WorkerKind(StrEnum):
    PROPOSE = "propose"
    GATE = "gate"
    EVALUATE = "evaluate"
