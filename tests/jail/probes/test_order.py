import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.losses.refusals import RefusalCode
from tests.jail.probes import losses
from tests.losses.eager import of_margin
from workers.jail.draws import Inputs
from workers.jail.examine import examine_loss
from workers.jail.probes import Loss

F = torch.nn.functional


def number(rows: torch.Tensor) -> torch.Tensor:
    return torch.arange(len(rows))


def dpo(rho: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    return F.softplus(-inputs["beta"] * rho)


PLACED = {
    "every other row": of_margin(lambda rho, inputs: dpo(rho, inputs) * (1 + number(rho) % 2)),
    "less and less": of_margin(lambda rho, inputs: dpo(rho, inputs) / (1 + number(rho))),
    "all before it": of_margin(lambda rho, inputs: dpo(rho, inputs).cumsum(0)),
    "a margin by its number": of_margin(lambda rho, inputs: dpo(rho - 0.1 * number(rho), inputs)),
}
COUPLED = {
    "its neighbour": of_margin(lambda rho, inputs: dpo(rho - 0.5 * rho.roll(1).detach(), inputs)),
    "the one at its mirrored place": of_margin(lambda rho, inputs: dpo(rho - 0.5 * rho.flip(0).detach(), inputs)),
    "the batch's mean": of_margin(lambda rho, inputs: dpo(rho - rho.mean(), inputs)),
    "the batch's deviation": of_margin(lambda rho, inputs: dpo(rho / (rho.std() + 1), inputs)),
    "its rank": of_margin(lambda rho, inputs: dpo(rho, inputs) * (1 + rho.argsort().argsort() / len(rho))),
    "the rank of its length": of_margin(
        lambda rho, inputs: dpo(rho, inputs) * (1 + inputs["chosen_lengths"].argsort().argsort() / len(rho))
    ),
    "all in another order": of_margin(lambda rho, inputs: dpo(rho, inputs).sort().values),
    "both answers apart": of_margin(lambda rho, inputs: torch.cat((dpo(rho, inputs), dpo(rho.roll(1), inputs)))),
}


def is_refused(loss: Loss, family: Family = Family.PAIRWISE) -> bool:
    codes = {each.code for each in examine_loss(loss, family).refusals}
    return RefusalCode.PLACE_IN_BATCH in codes


@pytest.mark.parametrize("name", PLACED)
def test_what_weighs_rows_by_their_place_is_refused(name: str) -> None:
    assert is_refused(PLACED[name])


@pytest.mark.parametrize("name", COUPLED)
def test_what_looks_at_other_rows_is_not(name: str) -> None:
    assert not is_refused(COUPLED[name])


@pytest.mark.parametrize(
    ("loss", "family"),
    [
        (losses.modpo, Family.AUXILIARY),
        (losses.self_normalised_cpo, Family.OUTCOME),
        (losses.within_groups, Family.MATCHING),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_family_has_rows_without_a_place(loss: Loss, family: Family) -> None:
    def placed(inputs: Inputs) -> torch.Tensor:
        values = loss(inputs)
        return values * (1 + number(values))

    assert not is_refused(loss, family)
    assert is_refused(placed, family)
