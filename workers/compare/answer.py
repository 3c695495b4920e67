"""What a comparison found, as one document: of each loss how it was tuned, what was measured, and its verdict."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from discovery_service.domain.confirming import Comparison, find_level, stratify
from discovery_service.domain.confirming import compare as compare_differences
from discovery_service.domain.differences import Occasion, find_differences
from discovery_service.domain.freezing import Role
from discovery_service.domain.power import find_detectable
from discovery_service.losses.passport import describe_oddities
from workers.compare.confirming import Freeze
from workers.compare.contest import Contender, Contest, Place
from workers.compare.sentences import tell_claim, tell_verdict
from workers.compare.tuning import Tuned, find_value
from workers.evaluate.answer import describe_outcome, find_intervals
from workers.supervisor.outcome import Outcome
from workers.trainings import Loss, Training

Document = dict[str, Any]
Outcomes = Mapping[Training, Outcome]
_NOTHING: Document = dict.fromkeys(("difference", "effects", "sd", "detectable", "verdict"))


def describe_place(place: Place, against: str) -> Document:
    return {
        "arena": place.arena["name"],
        "arena_sha256": place.arena_sha256,
        "counts": place.counts,
        "against": against,
        "base_policies": list(place.base_policies),
        "draws": place.draws,
        "seed": place.seed,
    }


def describe(
    contest: Contest, tuned: Mapping[Loss, Tuned], frozen: Freeze, confirmed: Mapping[Loss, Outcomes]
) -> Document:
    """Without any training confirmed, as where the reference could not be tuned, there is no verdict."""
    place, reference = contest.place, contest.reference
    losses = [
        _describe_loss(contest, each, tuned[each.loss], confirmed.get(each.loss, {}))
        | _find_verdict(contest, each, confirmed)
        for each in contest.contenders
    ]
    found = {
        **describe_place(place, reference.name),
        "level": find_level(len(contest.finalists)),
        "digest": frozen.digest,
        "trainings": sum(len(each.outcomes) for each in tuned.values()) + sum(map(len, confirmed.values())),
        "losses": losses,
    }
    for each in losses:
        each["sentence"] = tell_verdict(each, found)
    is_failed = losses[0]["status"] in ("untuned", "failed")
    return {"status": "failed" if is_failed else "compared", **found, "claim": tell_claim(found)}


def _describe_loss(contest: Contest, contender: Contender, tuned: Tuned, confirmed: Outcomes) -> Document:
    place, progress = contest.place, tuned.progress
    told = [_describe_training(place, *each) for each in (*tuned.outcomes.items(), *confirmed.items())]
    of_confirming = told[len(tuned.outcomes) :]
    failed = sum(each["failure"] is not None for each in of_confirming)
    status = "untuned" if progress.chosen is None else "tuned" if not confirmed else "failed" if failed else "confirmed"
    return {
        "name": contender.name,
        "role": (Role.REFERENCE if contender is contest.reference else Role.FINALIST).value,
        "status": status,
        "gate": contender.judged.summary(),
        "warnings": describe_oddities(contender.judged.answer["passport"]),
        "same_as": contest.find_same(contender),
        "setting": None if progress.chosen is None else progress.chosen.document(),
        "curve": [{"setting": each.setting.document(), "values": list(each.values)} for each in progress.curve],
        "failed": failed,
        # Where some failed, those were the hard ones: the mean of the others would flatter it.
        "metrics": _summarise(of_confirming) if status == "confirmed" else {},
        "trainings": told,
    }


def _describe_training(place: Place, training: Training, outcome: Outcome) -> Document:
    return {
        "purpose": training.draw.purpose.value,
        "base_policy": training.base_policy,
        "draw": training.draw.key,
        **describe_outcome(place.arena, training, outcome),
    }


def _summarise(measurements: list[Document]) -> Document:
    """Means with 95 % intervals of each metric: those of these base policies, so that how they differ is no noise."""
    occasions = [Occasion(each["base_policy"], each["draw"]) for each in measurements]
    intervals = find_intervals(
        [each["metrics"] for each in measurements],
        lambda values: stratify(dict(zip(occasions, values, strict=True))),
    )
    return {name: asdict(each) for name, each in intervals.items()}


def _find_verdict(contest: Contest, contender: Contender, confirmed: Mapping[Loss, Outcomes]) -> Document:
    """Nothing of the reference itself, and where one of the two failed on a draw."""
    counts = contest.place.counts
    values = _find_values(confirmed.get(contender.loss, {}), counts)
    of_reference = _find_values(confirmed.get(contest.reference.loss, {}), counts)
    if contender is contest.reference or values is None or of_reference is None:
        return dict(_NOTHING)
    return _describe_comparison(
        contest, compare_differences(find_differences(values, of_reference), len(contest.finalists))
    )


def _find_values(outcomes: Outcomes, counts: str) -> dict[Occasion, float] | None:
    values = {}
    for training, outcome in outcomes.items():
        value = find_value(outcome, counts)
        if value is None:
            return None
        values[Occasion(training.base_policy, training.draw.key)] = value
    return values or None


def _describe_comparison(contest: Contest, found: Comparison) -> Document:
    place, detectable = contest.place, None
    if found.sd > 0:
        detectable = find_detectable(
            sd=found.sd, draws=place.draws, finalists=len(contest.finalists), policies=len(place.base_policies)
        )
    return {
        "difference": asdict(found.interval) | {"level": found.level},
        "effects": {str(policy): effect for policy, effect in found.effects.items()},
        "sd": found.sd,
        "detectable": detectable,
        "verdict": found.verdict.value,
    }
