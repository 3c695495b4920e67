"""The freeze and what comes after it: every loss in its frozen setting on the same fresh draws."""

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
    settings: Mapping[Loss, Setting]
    """Of the losses that have one."""
    digest: str
    draws: Draws


def freeze(contest: Contest, tuned: Mapping[Loss, Tuned]) -> Freeze:
    """The draws follow from what is frozen, so that nobody can have looked at them while settings were chosen."""
    settings = {loss: each.progress.chosen for loss, each in tuned.items() if each.progress.chosen is not None}

    def write(role: Role, contenders: Sequence[Contender]) -> list[Frozen]:
        losses = [each.loss for each in contenders if each.loss in settings]
        return [Frozen(role, loss.graph_sha256, settings[loss]) for loss in losses]

    place = contest.place
    digest = find_digest(
        [*write(Role.REFERENCE, [contest.reference]), *write(Role.FINALIST, contest.finalists)],
        arena_sha256=place.arena_sha256,
        seed=place.seed,
        base_policies=place.base_policies,
        draws=place.draws,
    )
    draws = list_confirm_draws(digest, place.base_policies, place.draws)
    return Freeze(settings, digest, draws)


def confirm(
    trainings: Trainings, names: Mapping[Loss, str], settings: Mapping[Loss, Setting], draws: Draws
) -> dict[Loss, dict[Training, Outcome]]:
    """Each loss on each draw. Raises TrainingsBroke."""
    wanted = [
        # A draw is built once and kept warm while all losses are trained on it.
        Training(loss, base_policy, setting, draw, f"{names[loss]}, confirming")
        for base_policy, draw in draws
        for loss, setting in settings.items()
    ]
    outcomes = trainings.run(wanted)
    refuse_crashed(outcomes)
    return {loss: {training: outcomes[training] for training in wanted if training.loss == loss} for loss in settings}
