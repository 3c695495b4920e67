"""In every family's arena a runtime trains with each loss that the library has for it."""

from itertools import product

import pytest
import torch

from discovery_service.domain.arenas import ARENAS
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.metrics import MEANINGS, OWN
from discovery_service.domain.states import Purpose
from discovery_service.domain.worlds import ArenaSize
from discovery_service.losses.described import list_described
from discovery_service.losses.graph import read_graph
from tests.arenas.conftest import OpenMini
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train

OF_FAMILY = {Family.AUXILIARY: "guardrail", Family.OUTCOME: "outcome", Family.MATCHING: "plurality"}
TELLS = {
    "guardrail": {"violations", "matched_violations", "matched_win_rate"},
    "outcome": {"bias"},
    "plurality": {"pm_divergence", "kl_to_target", "junk"},
    "crowd": {"disagreement", "angle"},
    "panel": {"disagreement"},
    "plain": set(),
}
DRAW = Draw(Purpose.TUNE, "0")


@pytest.mark.parametrize(
    ("family", "loss"), [pair for family in OF_FAMILY for pair in product([family], KNOWN_LOSSES[family])]
)
def test_every_known_loss_moves_the_policy_and_leaves_it_finite(family: Family, loss: str, open_mini: OpenMini) -> None:
    name = OF_FAMILY[family]
    task = open_mini(name).open(0, DRAW)
    before = [each.detach().clone() for each in task.policy.parameters()]
    program = Program(read_graph(list_described(family)[loss].graph))
    optimisation = Optimisation.of(ARENAS[name].document(ArenaSize.MINI)["recipe"])
    train(task, program, family, Setting(1.0, 1e-3, 3), optimisation)
    after = list(task.policy.parameters())
    assert all(bool(each.isfinite().all()) for each in after)
    assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("name", TELLS)
def test_an_arena_tells_what_is_its_own_and_every_metric_has_a_meaning(name: str, open_mini: OpenMini) -> None:
    found = open_mini(name).open(0, DRAW).measure()
    assert found.keys() & set(OWN) == TELLS[name]
    assert found.keys() <= MEANINGS.keys()
    assert found["J"] is not None
