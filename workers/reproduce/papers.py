"""The papers that can be reproduced: the claims of each in its own world, and what is studied of them in arenas."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from workers.reproduce import in_arenas
from workers.reproduce.claims import Claim, Claims
from workers.reproduce.cpo import claims as cpo
from workers.reproduce.discopop import claims as discopop
from workers.reproduce.in_arenas import Study
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
    studies: tuple[Study, ...] = ()
    study_seconds: float = 0.0

    @property
    def total_seconds(self) -> float:
        return self.seconds + self.study_seconds


PAPERS: Mapping[PaperName, Paper] = {
    PaperName.DISCOPOP: Paper(discopop.reproduce, 400.0),
    PaperName.CPO: Paper(cpo.reproduce, 130.0, cpo.STUDIES, 110.0),
    PaperName.UPO: Paper(upo.reproduce, 100.0, upo.STUDIES, 55.0),
    PaperName.SIGN: Paper(sign.reproduce, 60.0, sign.STUDIES, 40.0),
    PaperName.PM: Paper(pm.reproduce, 60.0, pm.STUDIES, 45.0),
}


def reproduce(name: PaperName, run: Run) -> Iterator[Claim]:
    """In its world and then in arenas; a quick run leaves those out, whose losses take minutes to tune."""
    paper = PAPERS[name]
    studies = () if run.is_quick else paper.studies
    share = paper.seconds / paper.total_seconds if studies else 1.0
    yield from paper.reproduce(replace(run, tell=lambda done: run.tell(done * share)))
    yield from in_arenas.reproduce(run, studies, Claims(name.value, run.is_quick), begun=share)
