from itertools import pairwise

import numpy as np
import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.losses.fingerprints import BETAS, ENTRIES, MAGNITUDES, PROGRESS, REFERENCE_BETA
from tests.jail.probes import losses
from tests.losses.eager import known, of_margin
from workers.jail.fingerprint import measure_fingerprint
from workers.jail.probes import Loss

F = torch.nn.functional
MARKS = 2


def blocks(loss: Loss, family: Family = Family.PAIRWISE) -> np.ndarray:
    raw = np.frombuffer(measure_fingerprint(loss, family), dtype="<f2")
    return raw.astype(np.float64).reshape(len(BETAS), len(MAGNITUDES), -1)


@pytest.mark.parametrize(
    ("loss", "family", "entries"),
    [
        (known("dpo"), Family.PAIRWISE, 2 * 32),
        (losses.modpo, Family.AUXILIARY, 2 * 32),
        (losses.cpo, Family.OUTCOME, 2 * 32),
        (losses.policy_gradient, Family.MATCHING, 16 * 6),
    ],
    ids=["pairwise", "auxiliary", "outcome", "matching"],
)
def test_it_holds_a_unit_gradient_for_every_policy_input(loss: Loss, family: Family, entries: int) -> None:
    found = blocks(loss, family)
    assert found.shape == (len(BETAS), len(MAGNITUDES), entries + MARKS)
    assert found.shape[-1] == ENTRIES[family]
    assert np.linalg.norm(found, axis=-1) == pytest.approx(1, abs=1e-3)


def test_it_is_the_same_every_time() -> None:
    assert measure_fingerprint(known("aqfl"), Family.PAIRWISE) == measure_fingerprint(known("aqfl"), Family.PAIRWISE)


def test_betas_lie_half_an_octave_apart_around_the_reference() -> None:
    assert BETAS[len(BETAS) // 2] == REFERENCE_BETA
    assert [later / earlier for earlier, later in pairwise(BETAS)] == pytest.approx([2**0.5] * (len(BETAS) - 1))


def test_the_scale_of_a_loss_does_not_show() -> None:
    tripled = of_margin(lambda rho, inputs: 3 * F.softplus(-inputs["beta"] * rho))
    assert np.abs(blocks(tripled) - blocks(known("dpo"))).max() < 1e-3


def test_a_block_without_gradient_is_marked_and_has_unit_length() -> None:
    early = of_margin(lambda rho, inputs: torch.relu(0.5 - inputs["progress"]) * F.softplus(-rho))
    found = blocks(early)
    assert found[:, :, -2].tolist() == [[float(progress >= 0.5) for progress in PROGRESS]] * len(BETAS)
    assert np.linalg.norm(found, axis=-1) == pytest.approx(1, abs=1e-3)


def test_a_block_that_is_not_finite_is_marked() -> None:
    steep = of_margin(lambda rho, inputs: torch.exp(-20 * inputs["beta"] * rho))
    found = blocks(steep)
    assert found[-1, -1, -1] == 1
    assert not found[-1, -1, :-1].any()
    assert found[0, 0, -1] == 0
    assert np.isfinite(found).all()


def test_a_gradient_whose_square_overflows_is_still_a_direction() -> None:
    steep = of_margin(lambda rho, inputs: 1e25 * F.softplus(-inputs["beta"] * rho))
    assert np.abs(blocks(steep) - blocks(known("dpo"))).max() < 1e-3
