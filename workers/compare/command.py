"""From names and files to verdicts, as one document: gate, tuning, freeze, confirmation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from discovery_service.domain.families import Family
from workers.compare.answer import describe, describe_place
from workers.compare.confirming import confirm, freeze
from workers.compare.contest import Contender, Contest, Place, name_losses
from workers.compare.estimate import count_trainings, estimate
from workers.compare.tuning import tune
from workers.gate.submitted import Judged, find_submissions, judge
from workers.trainings import Loss, Trainings, TrainingsBroke, open_slots, open_trainings

Document = dict[str, Any]


def compare(
    sources: Sequence[str],
    against: str,
    place: Place,
    say: Callable[[str], None],
    *,
    values: Mapping[str, float],
) -> Document:
    """`status` is compared; failed where the reference failed; crashed; or what the gate says of one loss at least."""
    names = name_losses(sources, against)
    submissions = find_submissions(list(names), Family(place.arena["family"]), values)
    judged = dict(zip(names.values(), judge(submissions), strict=True))
    found = describe_place(place, names[against])
    if any(each.passed is None for each in judged.values()):
        return {"status": _find_worst(judged), **found, "losses": _list_judged(judged)}
    first, *others = [
        Contender(name, each, Loss.of(each.passed.graph)) for name, each in judged.items() if each.passed is not None
    ]
    contest = Contest(place, first, tuple(others))
    with open_slots() as slots:
        say(estimate(contest, slots))
        try:
            with open_trainings(place.arena, slots, count_trainings(contest)) as trainings:
                return hold(contest, trainings)
        except TrainingsBroke as error:
            return {"status": "crashed", "message": str(error), **found, "losses": _list_judged(judged)}


def hold(contest: Contest, trainings: Trainings) -> Document:
    """Nothing is frozen before all are tuned, and nothing confirmed before that. Raises TrainingsBroke."""
    place = contest.place
    tuned = tune(trainings, contest.names, place.plan, place.counts)
    frozen = freeze(contest, tuned)
    settings = frozen.settings
    can_compare = contest.reference.loss in settings and any(each.loss in settings for each in contest.finalists)
    confirmed = confirm(trainings, contest.names, settings, frozen.draws) if can_compare else {}
    return describe(contest, tuned, frozen, confirmed)


def _find_worst(judged: Mapping[str, Judged]) -> str:
    """That nothing can be judged here weighs more than what was judged."""
    statuses = {each.answer["status"] for each in judged.values()}
    return next(each for each in ("unavailable", "refused") if each in statuses)


def _list_judged(judged: Mapping[str, Judged]) -> list[Document]:
    return [{"name": name, "gate": each.summary()} for name, each in judged.items()]
