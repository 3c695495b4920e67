"""The papers that can be reproduced: each is a function that yields claims, and a weight."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from workers.reproduce.claims import Claim
from workers.reproduce.cpo import claims as cpo
from workers.reproduce.discopop import claims as discopop
from workers.reproduce.names import PaperName
from workers.reproduce.pm import claims as pm
from workers.reproduce.run import Run
from workers.reproduce.sign import claims as sign
from workers.reproduce.upo import claims as upo


@dataclass(frozen=True)
class Paper:
    reproduce: Callable[[Run], Iterable[Claim]]
    seconds: float
    """Of one core with the usual seeds, roughly: its part of the bar."""


PAPERS: Mapping[PaperName, Paper] = {
    PaperName.DISCOPOP: Paper(discopop.reproduce, 400.0),
    PaperName.CPO: Paper(cpo.reproduce, 130.0),
    PaperName.UPO: Paper(upo.reproduce, 100.0),
    PaperName.SIGN: Paper(sign.reproduce, 60.0),
    PaperName.PM: Paper(pm.reproduce, 60.0),
}
