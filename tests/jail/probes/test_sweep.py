"""Many batches at once give what one after another gives, also for a loss that cannot be run at once."""

import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.losses.refusals import Refused
from tests.jail.probes import losses
from tests.losses.eager import KNOWN, known, of_margin
from workers.jail.draws import Inputs
from workers.jail.fingerprint import measure_fingerprint
from workers.jail.probes import Loss, run_losses
from workers.jail.spread import spread_batches, stack
from workers.jail.sweep import find_differing, run_sweep

F = torch.nn.functional
CASES: dict[str, tuple[Loss, Family]] = {
    **{name: (known(name), Family.PAIRWISE) for name in KNOWN},
    "modpo": (losses.modpo, Family.AUXILIARY),
    "self_normalised_cpo": (losses.self_normalised_cpo, Family.OUTCOME),
    "within_groups": (losses.within_groups, Family.MATCHING),
    "two values a row": (of_margin(lambda rho, _: torch.cat((rho, 2 * rho))), Family.PAIRWISE),
    "a quantile": (of_margin(lambda rho, _: F.softplus(-rho + torch.quantile(rho, 0.3))), Family.PAIRWISE),
    "no gradient": (of_margin(lambda rho, _: rho.detach()), Family.PAIRWISE),
}


@pytest.mark.parametrize("name", CASES)
def test_a_sweep_is_what_single_runs_are(name: str) -> None:
    loss, family = CASES[name]
    batches = list(spread_batches(family))
    runs = run_sweep(loss, stack(batches), family)
    for ours, theirs in zip(runs.separate(), run_losses(loss, batches, family), strict=True):
        torch.testing.assert_close(ours.values, theirs.values)
        for each, gradient in theirs.gradients.items():
            torch.testing.assert_close(ours.gradients[each], gradient)


def test_a_loss_that_cannot_be_run_at_once_has_the_same_fingerprint() -> None:
    def one_by_one(inputs: Inputs) -> torch.Tensor:
        float(inputs["beta"])
        return known("aqfl")(inputs)

    assert measure_fingerprint(one_by_one, Family.PAIRWISE) == measure_fingerprint(known("aqfl"), Family.PAIRWISE)


def test_a_scalar_is_refused_by_a_sweep_too() -> None:
    with pytest.raises(Refused, match="one value a row"):
        run_sweep(of_margin(lambda rho, _: rho.mean()), stack(list(spread_batches(Family.PAIRWISE))), Family.PAIRWISE)


def test_what_is_not_finite_in_both_does_not_differ() -> None:
    stacked = stack(list(spread_batches(Family.PAIRWISE)))
    overflowing = of_margin(lambda rho, _: torch.exp(-20 * rho))
    one, other = (run_sweep(overflowing, stacked, Family.PAIRWISE) for _ in range(2))
    assert not find_differing(one, other).any()
    assert find_differing(one, run_sweep(known("dpo"), stacked, Family.PAIRWISE)).all()
