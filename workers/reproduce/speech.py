"""A small recurrent language model of answers of one length, so few that all of them are told at once.

So whatever is measured of a policy is exact, and sampling is a draw from a table.
"""

from itertools import product

import torch
from torch import Tensor

WIDTH = 32
_FITTING_RATE, _FITTING_STEPS = 0.02, 400


class LanguageModel(torch.nn.Module):
    """A GRU whose state begins with the prompt. Follows the prefixes as a tree, each once."""

    def __init__(self, vocabulary: int, length: int, prompts: int, generator: torch.Generator) -> None:
        super().__init__()
        self.vocabulary, self.length = vocabulary, length
        self.begin = torch.nn.Parameter(torch.zeros(prompts, WIDTH))
        # The last one stands before the first token.
        self.tokens = torch.nn.Parameter(torch.zeros(vocabulary + 1, WIDTH))
        self.cell = torch.nn.GRUCell(WIDTH, WIDTH)
        self.head = torch.nn.Linear(WIDTH, vocabulary)
        for each in self.parameters():
            each.data = torch.randn(each.shape, generator=generator) * WIDTH**-0.5

    def forward(self) -> Tensor:
        """(prompts, vocabulary^length, length): the log-probability of each token of every answer."""
        prompts, every = len(self.begin), self.vocabulary
        state, token = self.begin, self.tokens[-1:].expand(prompts, -1)
        told = []
        for place in range(self.length):
            state = self.cell(token, state)
            said = self.head(state).log_softmax(1)
            rest = every ** (self.length - place - 1)
            told.append(said.view(prompts, -1, 1).expand(-1, -1, rest).reshape(prompts, -1))
            token = self.tokens[:-1].repeat(len(state), 1)
            state = state.repeat_interleave(every, dim=0)
        return torch.stack(told, dim=2)


def list_answers(vocabulary: int, length: int) -> Tensor:
    """In the order in which the model tells them."""
    return torch.tensor(list(product(range(vocabulary), repeat=length)))


def fit(model: LanguageModel, target: Tensor) -> None:
    """To answers as often as the target (prompts, answers) gives them, in place."""
    optimiser = torch.optim.Adam(model.parameters(), lr=_FITTING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _FITTING_STEPS)
    for _ in range(_FITTING_STEPS):
        optimiser.zero_grad()
        loss = -(target * model().sum(2)).sum(1).mean()
        loss.backward()
        optimiser.step()
        schedule.step()
