"""The kinds of workers, one for each queue of the pipeline."""

import socket
from enum import StrEnum


class WorkerKind(StrEnum):
    PROPOSE = "propose"
    GATE = "gate"
    EVALUATE = "evaluate"


def default_name(kind: str) -> str:
    """What a worker is called unless told otherwise; two of a kind on one host need names of their own."""
    return f"{kind}@{socket.gethostname()}"
