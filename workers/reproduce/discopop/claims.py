"""What DiscoPOP's paper claims of the losses that it found, LRML before all, measured in transformers arenas."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from discovery_service.domain.families import Family
from discovery_service.domain.intervals import find_interval
from workers.reproduce.arms import Arm
from workers.reproduce.claims import Claim, Claims, Line
from workers.reproduce.discopop import standing
from workers.reproduce.discopop.frontiers import Frontiers, measure
from workers.reproduce.discopop.stored import find_start_reward
from workers.reproduce.drawing import Trace, draw_traces
from workers.reproduce.run import Run

NAME = "discopop"
DRAWS = 4
ARENA = "plain:mini"
BETAS = (0.05, 0.15, 0.5, 1.0, 2.0, 4.0)
LOW, MID, HIGH = BETAS[0], 1.0, BETAS[-1]
"""The one in the middle is what tuning chooses for DPO and for LRML in the arena."""
DPO, LRML, SMOOTH, SMOOTHER = "DPO", "LRML", "LRML, tau .2", "LRML, tau 1"
ARMS = {
    DPO: Arm("dpo", Family.PAIRWISE),
    LRML: Arm("lrml", Family.PAIRWISE),
    SMOOTH: Arm("lrml", Family.PAIRWISE, values={"tau": 0.2}),
    SMOOTHER: Arm("lrml", Family.PAIRWISE, values={"tau": 1.0}),
    "SLiC": Arm("slic", Family.PAIRWISE),
    "IPO": Arm("ipo", Family.PAIRWISE),
    "EXP": Arm("exp", Family.PAIRWISE),
}
TAUS = (LRML, SMOOTH, SMOOTHER)
WRITTEN_BY_HAND = ("SLiC", "IPO", "EXP")
QUICK_ARMS, QUICK_BETAS = (DPO, LRML, SMOOTH), (LOW, MID, HIGH)
_SHARE_OF_FRONTIERS = 0.6
"""Of the time that all takes."""


def reproduce(run: Run) -> Iterable[Claim]:
    claims = Claims(NAME, run.is_quick)
    frontiers = _measure(run)
    if run.plots is not None:
        _draw(run.plots / "discopop_frontiers.png", frontiers)
    return [
        *conclude(frontiers, claims),
        conclude_passport(run.admission.read_passport(Family.PAIRWISE, "lrml"), claims),
        *standing.reproduce(run, claims, begun=_SHARE_OF_FRONTIERS),
    ]


def _measure(run: Run) -> Frontiers:
    arms = {name: ARMS[name] for name in QUICK_ARMS} if run.is_quick else ARMS
    return measure(
        ARENA,
        run.admission.admit(arms),
        QUICK_BETAS if run.is_quick else BETAS,
        run.count_seeds(DRAWS),
        is_quick=run.is_quick,
        tell=lambda share: run.tell(share * _SHARE_OF_FRONTIERS),
    )


def conclude(found: Frontiers, claims: Claims) -> Iterable[Claim]:
    others = [each for each in TAUS if each in found.losses and each != LRML]
    beside = ", ".join(f"{each} {fmean(_divide(found, LOW, 'reward', each)):.3f}" for each in others)
    yield claims.of_mean(
        f"At beta {LOW:g} LRML is stuck: its policy earns of DPO's reward this share",
        _divide(found, LOW, "reward"),
        Line(at_most=0.5, neutral=1.0),
        figure_paper="at beta .01 a reward of .152 for .97",
        note=f"the reference's own reward is {find_start_reward(ARENA):.3f}; the loss rises around margin 0, so that"
        f" training first goes the wrong way; with a lower hump or none: {beside}",
    )
    yield claims.of_mean(
        f"At beta {MID:g} LRML's reward is as high as DPO's: higher by",
        [
            one - other
            for one, other in zip(found.read(LRML, MID, "reward"), found.read(DPO, MID, "reward"), strict=True)
        ],
        Line(at_least=0.0),
        figure_paper="0 (.964 both, at beta .1)",
        note="at the same beta LRML's policy goes less far",
    )
    yield claims.of_mean(
        "and its KL is lower by this share",
        [1 - each for each in _divide(found, MID, "kl")],
        Line(at_least=0.2),
        figure_paper="40 % lower (.33 for .55, at beta .1)",
        note="a policy that goes less far earns less too: the next figure is of the same KL",
    )
    yield claims.of_mean(
        "At as much KL as it has there it earns more than DPO does, by",
        _compare_frontiers(found, [(LRML, MID)] * _count(found)),
        Line(at_least=0.0),
        figure_paper="more",
        note="DPO's reward is that on its frontier, between two betas straight over the root of the KL; LRML pays"
        " for the margins at which its loss rises",
    )
    yield from _conclude_tuned(found, claims)
    yield from _conclude_others(found, claims)
    failed = found.count_failed(LRML, HIGH)
    yield claims.of_share(
        f"At beta {HIGH:g} LRML's training fails, on this share of the draws",
        [number < failed for number in range(_count(found))],
        Line(at_least=0.5, neutral=None),
        figure_paper="collapses or is not finite from beta 2.5 on",
        note="a training fails where a loss or a gradient leaves float32 or the policy runs away; the paper trains for"
        " an epoch, these are 120 steps",
    )


def _conclude_tuned(found: Frontiers, claims: Claims) -> Iterable[Claim]:
    taus = [each for each in TAUS if each in found.losses]
    chosen = [found.choose(taus, draw) for draw in range(_count(found))]
    beside = [found.choose([DPO], draw) for draw in range(_count(found))]
    told = ", ".join(dict.fromkeys(f"{loss} at beta {beta:g}" for loss, beta in chosen))
    yield claims.of_mean(
        "With beta and tau tuned, both on the other draws, LRML's J is higher than that of DPO with beta tuned, by",
        [
            found.read(*one, "J")[draw] - found.read(*other, "J")[draw]
            for draw, (one, other) in enumerate(zip(chosen, beside, strict=True))
        ],
        Line(at_least=0.0),
        figure_paper="better",
        note=f"chosen was {told}, of {sum(len(found.list_betas(each)) for each in taus)} settings, DPO's of"
        f" {len(found.list_betas(DPO))}: betas so far apart leave something to both; the paper keeps tau at .05",
    )
    yield claims.of_mean(
        "and at as much KL it earns more than DPO does, by",
        _compare_frontiers(found, chosen),
        Line(at_least=0.0),
        figure_paper="more",
    )


def _conclude_others(found: Frontiers, claims: Claims) -> Iterable[Claim]:
    for loss in (each for each in WRITTEN_BY_HAND if each in found.losses):
        places = [found.choose([loss], draw) for draw in range(_count(found))]
        yield claims.of_mean(
            f"At the beta that tuning chooses for it {loss} earns more than DPO at as much KL, by",
            _compare_frontiers(found, places),
            Line(at_least=0.0),
            note="nothing is claimed of it: another loss that was written by hand, for its place beside these",
        )


def conclude_passport(passport: Mapping[str, Any], claims: Claims) -> Claim:
    rises = passport["rises"]
    told = " and ".join(f"{low:.4f} to {high:.4f}" for low, high in rises)
    return claims.of_computed(
        "LRML rises where a pair's margin is 0: the slope of the loss there",
        passport["slope_at_zero"],
        Line(0.78, 0.79),
        figure_paper=".784, of its formula at tau .05",
        note=f"from the gate's passport; it rises for beta times the margin from {told}, and is not convex",
    )


def _count(found: Frontiers) -> int:
    return len(found.read(DPO, MID, "J"))


def _divide(found: Frontiers, beta: float, figure: str, loss: str = LRML) -> list[float]:
    """The loss's by DPO's, on each draw."""
    return [
        one / other for one, other in zip(found.read(loss, beta, figure), found.read(DPO, beta, figure), strict=True)
    ]


def _compare_frontiers(found: Frontiers, places: Sequence[tuple[str, float]]) -> list[float]:
    """Of each draw's place, by how much its reward is above DPO's at as much KL."""
    return [
        found.read(*place, "reward")[draw] - found.find_reward(DPO, draw, found.read(*place, "kl")[draw])
        for draw, place in enumerate(places)
    ]


def _draw(file: Path, found: Frontiers) -> None:
    traces = []
    for loss in found.losses:
        across, up = (
            [find_interval(found.read(loss, beta, figure)) for beta in found.list_betas(loss)]
            for figure in ("kl", "reward")
        )
        traces.append(Trace(loss, across, up))
    title = f"Reward beside KL in {ARENA}, beta from {LOW:g} to {HIGH:g}"
    draw_traces(file, traces, title=title, x="KL, nats", y="reward")
