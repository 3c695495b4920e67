"""The smallest task that a trainer can be given, in every family: a network that scores rows of features."""

import copy

import torch
from torch import Tensor, nn

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role
from tests.runtime.inputs import make_inputs
from workers.arenas.arena import Batch, Policy

FEATURES, TOKENS = 8, 5
POLICY = {family: [each for each in INPUTS[family] if each.role is Role.POLICY] for family in Family}


class Scorer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(FEATURES, 16), nn.Tanh(), nn.Linear(16, 1))
        for index, weight in enumerate(self.parameters()):
            nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(index))

    def forward(self, features: Tensor) -> Tensor:
        return -10 * nn.functional.softplus(self.layers(features)[..., 0])

    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        return {name: self(features) for name, features in batch.rows.items()}


class Scoring:
    """Pairs can be told apart: those that are preferred have the larger features."""

    def __init__(self, family: Family = Family.PAIRWISE, *, rows: int = 16) -> None:
        self.policy = Scorer()
        self.batches = self
        self._family, self._rows = family, rows
        self._reference = copy.deepcopy(self.policy)
        self._taken = 0

    def take(self, policy: Policy) -> Batch:
        self._taken += 1
        generator = torch.Generator().manual_seed(self._taken)
        shape = (self._rows, TOKENS) if self._family is Family.MATCHING else (self._rows,)
        rows = {
            each.name: torch.randn(*shape, FEATURES, generator=generator) + 0.3 * ("chosen" in each.name)
            for each in POLICY[self._family]
        }
        given = {name: each.detach() for name, each in make_inputs(self._family, self._rows, tokens=TOKENS).items()}
        for name, features in rows.items():
            given.pop(name)
            given[name.replace("policy", "reference")] = self._reference(features).detach()
        return Batch({name: each for name, each in given.items() if each.dim()}, rows)

    def measure(self) -> dict[str, float | None]:
        return {}

    def weights(self) -> Tensor:
        return torch.cat([each.detach().flatten() for each in self.policy.parameters()])
