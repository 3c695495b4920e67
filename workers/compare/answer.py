"""What a comparison found, as one document: of each loss how it was tuned, what was measured, and its verdict."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from discovery_service.domain.confirming import Comparison, Match, compare_with_all, find_level, stratify
from discovery_service.domain.differences import Occasion, find_differences, find_whole
from discovery_service.domain.freezing import Role
from discovery_service.domain.intervals import LEVEL
from discovery_service.domain.measuring import Setting
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
_NOTHING: Document = {
    **dict.fromkeys(("difference", "effects", "sd", "detectable", "verdict", "against_setting")),
    "against_others": [],
}


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
        | _find_verdict(contest, each, tuned, confirmed)
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
    is_reference = contender is contest.reference
    # Another loss that is the reference too has not been asked for the reference's other settings.
    settings = progress.settings if is_reference else progress.settings[:1]
    asked = {training: outcome for training, outcome in confirmed.items() if training.setting in settings}
    at_settings = [_describe_setting(place, each, confirmed) for each in settings]
    is_failed = any(each["failed"] for each in at_settings)
    status = "untuned" if not settings else "tuned" if not asked else "failed" if is_failed else "confirmed"
    return {
        "name": contender.name,
        "role": (Role.REFERENCE if is_reference else Role.FINALIST).value,
        "status": status,
        "gate": contender.judged.summary(),
        "warnings": describe_oddities(contender.judged.answer["passport"]),
        "same_as": contest.find_same(contender),
        "setting": None if progress.chosen is None else progress.chosen.document(),
        "curve": [{"setting": each.setting.document(), "values": list(each.values)} for each in progress.curve],
        "failed": at_settings[0]["failed"] if at_settings else 0,
        "metrics": at_settings[0]["metrics"] if at_settings else {},
        "other_settings": at_settings[1:] if asked else [],
        "trainings": [_describe_training(place, *each) for each in (*tuned.outcomes.items(), *asked.items())],
    }


def _describe_setting(place: Place, setting: Setting, confirmed: Outcomes) -> Document:
    told = [_describe_training(place, *each) for each in confirmed.items() if each[0].setting == setting]
    failed = sum(each["failure"] is not None for each in told)
    # Where some failed, those were the hard ones: the mean of the others would flatter it.
    metrics = _summarise(told) if told and not failed else {}
    return {"setting": setting.document(), "failed": failed, "metrics": metrics}


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
    return {name: asdict(each) | {"level": LEVEL} for name, each in intervals.items()}


def _find_verdict(
    contest: Contest, contender: Contender, tuned: Mapping[Loss, Tuned], confirmed: Mapping[Loss, Outcomes]
) -> Document:
    """Nothing of the reference itself, nor where one of the two failed on a draw: the reference at any of its settings.

    The one that is missing might have been the hardest.
    """
    counts, reference = contest.place.counts, contest.reference.loss
    chosen, settings = tuned[contender.loss].progress.chosen, tuned[reference].progress.settings
    if contender is contest.reference or chosen is None:
        return dict(_NOTHING)
    values = _find_values(confirmed.get(contender.loss, {}), chosen, counts)
    met = find_whole({each: _find_values(confirmed.get(reference, {}), each, counts) for each in settings})
    if values is None or met is None:
        return dict(_NOTHING)
    differences = {each: find_differences(values, theirs) for each, theirs in met.items()}
    return _describe_match(contest, compare_with_all(differences, len(contest.finalists)))


def _find_values(outcomes: Outcomes, setting: Setting, counts: str) -> dict[Occasion, float] | None:
    return find_whole(
        {
            Occasion(training.base_policy, training.draw.key): find_value(outcome, counts)
            for training, outcome in outcomes.items()
            if training.setting == setting
        }
    )


def _describe_match(contest: Contest, match: Match) -> Document:
    place, detectable = contest.place, None
    sd = match.counting.sd
    if sd > 0:
        detectable = find_detectable(
            sd=sd,
            draws=place.draws,
            finalists=len(contest.finalists),
            policies=len(place.base_policies),
            met=len(match.comparisons),
        )
    return {
        **_describe_comparison(match.counting),
        "detectable": detectable,
        "verdict": match.verdict.value,
        "against_setting": match.hardest.document(),
        "against_others": [
            {"setting": setting.document(), **_describe_comparison(each)} for setting, each in match.others.items()
        ],
    }


def _describe_comparison(found: Comparison) -> Document:
    return {
        "difference": asdict(found.interval) | {"level": found.level},
        "effects": {str(policy): effect for policy, effect in found.effects.items()},
        "sd": found.sd,
        "verdict": found.verdict.value,
    }
