import json

import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.losses.refusals import RefusalCode
from tests.jail.probes import losses
from tests.losses.eager import KNOWN, known, of_margin
from workers.jail.draws import Inputs
from workers.jail.examine import examine_loss
from workers.jail.probes import Loss

F = torch.nn.functional


def codes(loss: Loss, family: Family = Family.PAIRWISE) -> list[RefusalCode]:
    return [refusal.code for refusal in examine_loss(loss, family).refusals]


def turned(loss: Loss) -> Loss:
    return lambda inputs: -loss(inputs)


@pytest.mark.parametrize("name", KNOWN)
def test_no_library_loss_is_refused(name: str) -> None:
    assert codes(known(name)) == []


@pytest.mark.parametrize("name", ["dpo", "slic", "exp", "kto_pair", "padll", "simpo", "orpo", "length_dpo"])
def test_a_loss_with_the_wrong_sign_is_reversed(name: str) -> None:
    assert codes(turned(known(name))) == [RefusalCode.REVERSED]


def test_an_odd_loss_is_flagged_and_not_refused() -> None:
    examination = examine_loss(known("lrml"), Family.PAIRWISE)
    assert examination.refusals == ()
    assert "rises_at_zero" in examination.passport["flags"]


def test_what_rises_in_places_only_is_not_reversed() -> None:
    assert codes(turned(known("ipo"))) == []
    assert codes(turned(known("lrml"))) == []


def test_what_leaves_margins_alone_is_not_reversed() -> None:
    def drift(inputs: Inputs) -> torch.Tensor:
        chosen = inputs["policy_chosen_logps"] - inputs["reference_chosen_logps"]
        return (chosen + inputs["policy_rejected_logps"] - inputs["reference_rejected_logps"]) ** 2

    assert codes(drift) == []


@pytest.mark.parametrize(
    ("loss", "family"),
    [
        (losses.modpo, Family.AUXILIARY),
        (losses.cpo, Family.OUTCOME),
        (losses.self_normalised_cpo, Family.OUTCOME),
        (losses.oo_rlhf, Family.OUTCOME),
        (losses.policy_gradient, Family.MATCHING),
        (losses.within_groups, Family.MATCHING),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_family_has_a_right_way_round(loss: Loss, family: Family) -> None:
    assert codes(loss, family) == []
    assert codes(turned(loss), family) == [RefusalCode.REVERSED]


def test_a_loss_that_looks_at_no_score_has_no_wrong_way_round() -> None:
    def likelihood(inputs: Inputs) -> torch.Tensor:
        return -inputs["policy_logps"]

    assert codes(likelihood, Family.OUTCOME) == codes(turned(likelihood), Family.OUTCOME) == []


@pytest.mark.parametrize(
    "loss",
    [
        of_margin(lambda rho, _: 0 * rho),
        of_margin(lambda rho, _: F.softplus(-rho).detach()),
        of_margin(lambda rho, _: torch.sign(rho)),
        of_margin(lambda rho, _: torch.relu(-rho - 1000)),
    ],
    ids=["constant", "detached", "step", "beyond reach"],
)
def test_a_loss_that_pushes_nowhere_is_refused(loss: Loss) -> None:
    assert codes(loss) == [RefusalCode.ZERO_GRADIENT]


def test_a_loss_that_pushes_somewhere_is_not() -> None:
    assert codes(of_margin(lambda rho, _: torch.relu(-rho - 30))) == []


@pytest.mark.parametrize(
    ("loss", "where"),
    [
        (of_margin(lambda rho, _: F.softplus(-(rho / rho.std()))), "start of training"),
        (of_margin(lambda rho, _: F.softplus(-rho) + torch.sqrt((rho**2).mean())), "start of training"),
        (of_margin(lambda rho, _: torch.exp(-3 * rho)), "beta = 0.1"),
        (of_margin(lambda rho, inputs: torch.exp(-3 * inputs["beta"] * rho)), "beta = 1"),
        (of_margin(lambda rho, inputs: torch.exp(-5 * inputs["beta"] * rho.clamp(-4, 4))), "beta = 5"),
    ],
)
def test_what_is_not_finite_in_the_working_range_is_refused_with_the_place(loss: Loss, where: str) -> None:
    (refusal,) = examine_loss(loss, Family.PAIRWISE).refusals
    assert refusal.code is RefusalCode.NON_FINITE
    assert where in refusal.message


def test_a_gradient_counts_even_where_the_value_is_finite() -> None:
    assert codes(of_margin(lambda rho, _: F.softplus(-rho) + torch.sqrt(rho.abs()))) == [RefusalCode.NON_FINITE]


@pytest.mark.parametrize(
    "loss", [known("exp"), of_margin(lambda rho, _: torch.log(rho)), of_margin(lambda rho, _: rho / 0)]
)
def test_an_examination_is_json_whatever_was_found(loss: Loss) -> None:
    document = examine_loss(loss, Family.PAIRWISE).document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
