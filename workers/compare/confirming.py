"""The freeze and what comes after it: every loss in its frozen setting, and the reference in each of its own, on the
same fresh draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from discovery_service.domain.freezing import Frozen, Role, find_digest, list_confirm_draws
from discovery_service.domain.measuring import Draw, Setting
from workers.compare.contest import Contender, Contest
from workers.compare.tuning import Tuned
from workers.supervisor.outcome import Outcome
from workers.trainings import Loss, Training, Trainings, refuse_crashed

Draws = Sequence[tuple[int, Draw]]
"""With the base policy of each."""


@dataclass(frozen=True)
class Freeze:
    settings: Mapping[Loss, tuple[Setting, ...]]
    """Of the losses that have one, the chosen one first."""
    digest: str
    draws: Draws


def freeze(contest: Contest, tuned: Mapping[Loss, Tuned]) -> Freeze:
    """The draws follow from what is frozen, so that nobody can have looked at them while settings were chosen."""
    settings = {loss: each.progress.settings[:1] for loss, each in tuned.items() if each.progress.settings}
    finalists = _write(Role.FINALIST, contest.finalists, settings)
    # The reference at each setting between which its tuning chose: a wrong choice would be everybody else's gain.
    if contest.reference.loss in settings:
        settings[contest.reference.loss] = tuned[contest.reference.loss].progress.settings
    place = contest.place
    digest = find_digest(
        [*_write(Role.REFERENCE, [contest.reference], settings), *finalists],
        arena_sha256=place.arena_sha256,
        seed=place.seed,
        base_policies=place.base_policies,
        draws=place.draws,
    )
    draws = list_confirm_draws(digest, place.base_policies, place.draws)
    return Freeze(settings, digest, draws)


def _write(role: Role, contenders: Sequence[Contender], settings: Mapping[Loss, tuple[Setting, ...]]) -> list[Frozen]:
    return [Frozen(role, each.loss.graph_sha256, at) for each in contenders for at in settings.get(each.loss, ())]


def confirm(
    trainings: Trainings, names: Mapping[Loss, str], settings: Mapping[Loss, tuple[Setting, ...]], draws: Draws
) -> dict[Loss, dict[Training, Outcome]]:
    """Each loss on each draw. Raises TrainingsBroke."""
    wanted = [
        # A draw is built once and kept warm while all losses are trained on it.
        Training(loss, base_policy, setting, draw, f"{names[loss]}, confirming")
        for base_policy, draw in draws
        for loss, each in settings.items()
        for setting in each
    ]
    outcomes = trainings.run(wanted)
    refuse_crashed(outcomes)
    return {loss: {training: outcomes[training] for training in wanted if training.loss == loss} for loss in settings}
