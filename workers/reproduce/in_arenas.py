"""What a paper's claim comes to in a transformers arena, by a campaign that tunes and screens its losses.

Nobody draws a line there in a paper: a threshold of 0 asks for the sign alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from discovery_service.domain.arenas import ARENAS
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from workers.reproduce.claims import Claim, Claims, Line
from workers.reproduce.run import Run, Screened

DRAWS = 8
Draws = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class Effect:
    claim: str
    loss: str
    metric: str
    is_lower: bool = False
    """Whether it is the lower figure that is claimed."""
    than: str | None = None
    """None: the family's reference."""
    figure_paper: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Study:
    arena: str
    effects: tuple[Effect, ...]

    @property
    def losses(self) -> list[str]:
        named = [name for each in self.effects for name in (each.loss, each.than) if name is not None]
        return list(dict.fromkeys(named))


def reproduce(run: Run, studies: Sequence[Study], claims: Claims, *, begun: float) -> Iterable[Claim]:
    """`begun`: the share of the paper that is done before."""
    for number, study in enumerate(studies):
        part = (1 - begun) / len(studies)
        tell = _tell_part(run, begun + number * part, part)
        yield from conclude(study, run.screen(study.arena, study.losses, DRAWS, tell), claims)


def _tell_part(run: Run, begun: float, part: float) -> Callable[[float], None]:
    return lambda share: run.tell(begun + share * part)


def conclude(study: Study, screened: Screened, claims: Claims) -> Iterable[Claim]:
    reference = REFERENCE_LOSSES[ARENAS[study.arena.partition(":")[0]].family]
    for each in study.effects:
        one, other = screened[each.loss], screened[each.than or reference]
        gaps = list(subtract(one, other, each.metric))
        where = f"measured in {study.arena} by a campaign, each loss tuned by the arena's plan"
        if not gaps:
            why = f"on no draw did both come as far; {where}"
            yield claims.not_measured(each.claim, Line(at_least=0.0), figure_paper=each.figure_paper, why=why)
            continue
        lost = (
            ""
            if len(gaps) == len(one)
            else f"on {len(one) - len(gaps)} of {len(one)} draws one failed or did not come as far"
        )
        yield claims.of_mean(
            each.claim,
            [-gap for gap in gaps] if each.is_lower else gaps,
            Line(at_least=0.0),
            figure_paper=each.figure_paper,
            note=_join(each.note, lost, where),
        )


def subtract(one: Draws, other: Draws, metric: str) -> Iterator[float]:
    """On the draws on which both have it: who failed has nothing, who hardly moved no figures at one nat from the
    reference."""
    for draw, figures in one.items():
        mine, its = figures.get(metric), other[draw].get(metric)
        if mine is not None and its is not None:
            yield mine - its


def _join(*parts: str) -> str:
    return "; ".join(filter(None, parts))
