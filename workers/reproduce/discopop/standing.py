"""Whether the discovered losses are the better ones: by campaigns, and by what longer measurements have stored."""

from collections.abc import Iterable

from discovery_service.domain.agreement import find_agreement
from discovery_service.domain.intervals import Interval
from workers.reproduce.claims import Claim, Claims, Line
from workers.reproduce.discopop.stored import REFERENCE, list_differences, read_feedback
from workers.reproduce.in_arenas import subtract
from workers.reproduce.run import Run, Screened

DRAWS = 12
SCREENED = {
    "plain:mini": "Where labels are clean",
    "flips:mini": "Where three labels in ten are turned round",
    "terse:mini": "Where annotators like short answers",
}
"""The arenas in which campaigns measure, and what there is in them to be won."""
FOUND = "lrml"
DISCOVERED = ("dbaql", "aql", "padll", "aqfl", "cell", FOUND, "pfl")
RANKED = (
    ("terse:mini", "terse-strong:mini", ()),
    ("panel:mini", "panel-inverted:mini", ()),
    ("plain:mini", "flips:mini", DISCOVERED),
)
"""Where losses are searched, where they are held out, and which: of none, all that are published in both."""
PLANNED_PAIRS = 8
"""Seeds of an arena in `benchmarks.search`. Of a part of them nothing is told: whoever looks after each campaign finds
some day what they look for."""


def reproduce(run: Run, claims: Claims, *, begun: float) -> Iterable[Claim]:
    """`begun`: the share that is done before."""
    arenas = list(SCREENED)[:1] if run.is_quick else list(SCREENED)
    for number, arena in enumerate(arenas):
        losses = [FOUND] if run.is_quick else list(dict.fromkeys((FOUND, find_best(arena))))
        before, part = begun + (1 - begun) * number / len(arenas), (1 - begun) / len(arenas)

        def tell(share: float, before: float = before, part: float = part) -> None:
            run.tell(before + share * part)

        yield from conclude_screen(arena, run.screen(arena, losses, DRAWS, tell), claims)
    yield from conclude_searches(claims)
    yield from conclude_ranks(claims)


def find_best(arena: str) -> str:
    """Of the discovered losses, by the arena's calibration, which was on other draws."""
    published = list_differences(arena)
    return max((each for each in DISCOVERED if each in published), key=lambda name: published[name])


def conclude_screen(arena: str, screened: Screened, claims: Claims) -> Iterable[Claim]:
    for name, draws in screened.items():
        if name == REFERENCE:
            continue
        who = "LRML" if name == FOUND else f"{name.upper()}, the best of the seven there by other draws,"
        yield claims.of_mean(
            f"{SCREENED[arena]}, {who} has a higher J than DPO, both tuned by the same plan, by",
            list(subtract(draws, screened[REFERENCE], "J")),
            Line(at_least=0.0),
            figure_paper="state of the art",
            note=f"measured in {arena} by a campaign, on its screen draws; DPO is tuned with as many trainings",
        )


def conclude_searches(claims: Claims) -> Iterable[Claim]:
    """Of whole searches, which take hours."""
    feedback = read_feedback()
    line, said = Line(at_least=0.0), "finds better losses as it goes on"
    claim = (
        f"After {feedback.proposals} proposals the best of a search that sees measurements has more than that of a"
        " blind one with the same seed"
    )
    enough = {arena: gains for arena, gains in feedback.gains.items() if len(gains) >= PLANNED_PAIRS}
    for arena, gains in enough.items():
        yield claims.of_mean(
            f"{claim}, in {arena}, by",
            gains,
            line,
            figure_paper=said,
            note="J less DPO's, as stored by benchmarks.search; by the symbolic proposer, no language model",
        )
    if not enough:
        yield claims.not_measured(
            f"{claim}, by",
            line,
            figure_paper=said,
            why=f"it is read from benchmarks.search: {feedback.campaigns} of {feedback.of} campaigns are there, and of"
            f" no arena all {PLANNED_PAIRS} seeds of both",
        )


def conclude_ranks(claims: Claims) -> Iterable[Claim]:
    for searched, held_out, names in RANKED:
        here, there = list_differences(searched), list_differences(held_out)
        both = [each for each in here if each in there and (not names or each in names)]
        found = find_agreement([here[each] for each in both], [there[each] for each in both])
        who = f"the {len(both)} discovered losses" if names else f"{len(both)} known losses"
        how = "" if held_out in SCREENED else ", held out,"
        yield claims.of(
            f"{held_out}{how} ranks {who} as {searched} does: Kendall's tau",
            Interval(found.tau, found.low, found.high, len(both)),
            Line(at_least=0.6),
            figure_paper="-.24 between MT-Bench and AlpacaEval 2, of seven",
            note=f"by the published calibrations; the interval is over losses, and of {len(both)} it is wide",
        )
