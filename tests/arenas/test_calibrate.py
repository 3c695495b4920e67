"""The optimum is estimated without the bias of small samples; noise is what order and sampling alone make."""

import math
from pathlib import Path

import pytest
import torch

from discovery_service.domain import published
from discovery_service.domain.arenas import BASE_POLICIES, arena_names, find_document, hash_document
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Setting
from discovery_service.domain.published import Figures, find_figures
from discovery_service.domain.worlds import World
from tests.arenas.conftest import LoadPolicy, OpenMini
from tests.arenas.training import OPTIMISATION
from workers.arenas import calibrate
from workers.arenas.cache import Cache, hash_recipe
from workers.arenas.calibrate import find_best, find_optimum, measure_repeats
from workers.arenas.policies import list_shipped
from workers.arenas.pretrain import describe_base

RANGES = {
    Family.PAIRWISE: (-0.25, 0.25, 1.3),
    Family.OUTCOME: (-0.25, 0.25, 1.3),
    Family.AUXILIARY: (-1.5, -0.25, 0.1),
    Family.MATCHING: (-2.0, -0.8, -0.1),
}
"""Of the reference's J, and the least of the best one's."""
FIGURES = Figures(policy_sha256="0", j_ref=0.0, j_ref_se=0.02, j_best=1.6, j_best_se=0.02)


def test_the_best_objective_of_normal_rewards_is_their_mean_and_half_their_variance() -> None:
    """E exp r is known there; the plain log of the mean of so few samples would be .05 below it."""
    generator = torch.Generator().manual_seed(1)
    rewards = 0.3 + 1.2 * torch.randn(20_000, 32, generator=generator, dtype=torch.float64)
    plain = torch.logsumexp(rewards, 1) - math.log(32)
    exact = 0.3 + 1.2**2 / 2
    assert float(plain.mean()) < exact - 0.03
    assert float(find_best(rewards).mean()) == pytest.approx(exact, abs=0.015)


def test_the_optimum_is_found_once_for_worlds_that_only_annotators_tell_apart(
    mini_policy: LoadPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "PROMPTS", 64)
    monkeypatch.setattr(calibrate, "SAMPLES", 8)
    cache, model = Cache(tmp_path), mini_policy(0.2, 0)
    plain, terse = World(p_stop=0.2), World(p_stop=0.2, length_bias=-0.15)
    assert find_optimum(model, plain, cache) == find_optimum(model, terse, cache)
    assert len(list(tmp_path.iterdir())) == 1
    assert find_optimum(model, World(p_stop=0.2, on_excerpts=True), cache) != find_optimum(model, plain, cache)
    found = find_optimum(model, plain, cache)
    assert found.best.mean > found.reference.mean + 0.5


def test_order_and_sampling_make_some_noise_and_not_much(open_mini: OpenMini) -> None:
    found = measure_repeats(open_mini("plain"), Family.PAIRWISE, OPTIMISATION, 0, Setting(1.0, 1.5e-3, 20), 2)
    assert 0 < found.sd < 0.2
    assert found.pairs == 2
    assert found.training_s > 0 < found.measuring_s


@pytest.mark.parametrize("base_policy", BASE_POLICIES)
@pytest.mark.parametrize("name", arena_names())
def test_of_every_arena_optimum_noise_and_cost_are_known(name: str, base_policy: int) -> None:
    figures = find_figures(hash_document(find_document(name)), base_policy)
    assert figures is not None, "discovery arena calibrate measures what is missing"
    assert None not in (figures.repeat_sd, figures.repeat_sd_se, figures.training_s, figures.measuring_s)


def test_what_is_published_was_measured_with_the_base_policies_that_ship() -> None:
    for entry in published.read_published()["arenas"].values():
        document = find_document(entry["name"])
        for number in entry["base_policies"]:
            figures = find_figures(hash_document(document), int(number))
            described = describe_base(document, int(number))
            assert figures.policy_sha256 == list_shipped()[hash_recipe(described)]["sha256"]
            low, high, best = RANGES[Family(document["family"])]
            assert low < figures.j_ref < high < best < figures.j_best < best + 1.1
            assert max(figures.j_ref_se, figures.j_best_se) < 0.03


def test_what_is_published_of_the_first_base_policies_is_near_the_prototype() -> None:
    """J_best within .25 and J_ref within .2 of what the arenas were designed with."""
    for name, j_ref, j_best in (("plain", 0.01, 1.69), ("terse", 0.01, 1.69), ("panel", -0.07, 2.05)):
        figures = find_figures(hash_document(find_document(f"{name}:mini")), 0)
        assert figures.j_ref == pytest.approx(j_ref, abs=0.2)
        assert figures.j_best == pytest.approx(j_best, abs=0.25)


def test_attained_runs_from_the_reference_to_the_optimum() -> None:
    assert [FIGURES.attained(each) for each in (0.0, 0.8, 1.6)] == [0, 0.5, 1]
