"""The worlds of UPO, and what its claims come to on three seeds."""

import copy

import pytest
import torch

from tests.reproduce.conftest import Quickly, Told, find
from workers.reproduce.arms import Admission
from workers.reproduce.names import PaperName
from workers.reproduce.training import Recipe, make_generator, train_arm
from workers.reproduce.upo.claims import ARMS
from workers.reproduce.upo.world import KINDS, ScoredPairs, World, build, measure


@pytest.fixture(scope="module")
def claims(quickly: Quickly) -> list[Told]:
    return quickly(PaperName.UPO)


@pytest.fixture(scope="module")
def world() -> World:
    return build(KINDS["B"], torch.Generator().manual_seed(1))


def test_at_gamma_0_the_trained_policy_is_dpos(admission: Admission, world: World) -> None:
    arms = {name: ARMS[name] for name in ("DPO", "UPO 0", "UPO 0.1")}
    trained = {}
    for name, graph in admission.admit(arms).items():
        policy = copy.deepcopy(world.start)
        train_arm(policy, ScoredPairs(world, make_generator(1)), arms[name], graph, Recipe(0.003, 20))
        trained[name] = torch.cat([each.detach().flatten() for each in policy.parameters()])
    assert torch.equal(trained["UPO 0"], trained["DPO"])
    assert not torch.equal(trained["UPO 0.1"], trained["DPO"])


def test_the_reference_wins_against_itself_as_often_as_it_loses(world: World) -> None:
    found = measure(world, world.start)
    assert found["win"] == pytest.approx(0.5, abs=1e-5)
    assert found["kl"] == pytest.approx(0, abs=1e-6)


def test_in_the_world_of_contradiction_people_prefer_what_violates(world: World) -> None:
    likes, violates = world.likes[1], world.violates
    assert float(likes[violates].mean()) > float(likes[~violates].mean()) + 2
    chosen, rejected = (world.likes[0].gather(1, each[:, None])[:, 0] for each in world.pairs)
    assert bool((chosen >= rejected).all())


def test_the_value_is_an_expectile_above_the_mean(world: World) -> None:
    seen = torch.stack([world.scores.gather(1, each[:, None])[:, 0] for each in world.pairs])
    below, above = (world.values[None] - seen).clamp(min=0), (seen - world.values[None]).clamp(min=0)
    assert float(above.mean() * 0.7 / (below.mean() * 0.3)) == pytest.approx(1.0, rel=0.1)


def test_upo_lowers_violations_of_what_it_builds_on_and_pays_for_it(claims: list[Told]) -> None:
    for words in ("less often than DPO", "less often than KTO", "from 0 to .3", "At gamma 0", "stays nearer"):
        assert find(claims, words)["magnitude"], find(claims, words)


def test_where_modpo_is_better_it_is_told(claims: list[Told]) -> None:
    for words in ("nothing to do with what people like, UPO at gamma .05 violates less often than MODPO", "mildly"):
        told = find(claims, words)
        assert told["figure"] < 0
        assert not told["magnitude"]
        assert "MODPO's answers are liked better" in told["note"]
