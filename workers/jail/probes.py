"""The fixed batches on which a loss has to work, and one evaluation of a loss on some of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from discovery_service.domain.families import PAIRS, Family
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.fingerprints import REFERENCE_BETA
from discovery_service.losses.refusals import RefusalCode, refuse
from workers.jail.draws import (
    TOKENS,
    Inputs,
    draw_outcomes,
    draw_pairs,
    draw_sequences,
    name_inputs,
    with_settings,
)
from workers.jail.lacking import is_out_of_memory

Loss = Callable[[Inputs], Tensor]

_ROWS = 64
_SEQUENCES = 16
_SEED = 4
_START = 0.0
"""Of training."""
MAX_RATIO = 20.0
"""Nats between policy and reference on one side, in the working range; also |beta * margin| at unusual betas."""
MAX_MARGIN = 2 * MAX_RATIO

_AUXILIARY = ("chosen_aux", "rejected_aux", "prompt_value")


@dataclass(frozen=True)
class Probe:
    """A batch of the working range."""

    where: str
    """Completes "the loss is not finite …"."""
    inputs: Inputs


@dataclass(frozen=True)
class Run:
    values: Tensor
    """One a row; of a result of two rows an example, their sum."""
    gradients: Mapping[str, Tensor]

    @property
    def is_finite(self) -> bool:
        return all(bool(each.isfinite().all()) for each in (self.values, *self.gradients.values()))

    @property
    def has_gradient(self) -> bool:
        return any(bool(each.any()) for each in self.gradients.values())


@dataclass(frozen=True)
class CurveBatch:
    """Row i and row n + i, where there is one, move with the i-th margin and with nothing else."""

    inputs: Inputs
    margins: Tensor
    directions: Mapping[str, Tensor]
    """By how much each policy input moves when the margin grows by 1."""


@cache
def policy_inputs(family: Family) -> tuple[str, ...]:
    return tuple(each.name for each in INPUTS[family] if each.role is Role.POLICY)


@cache
def setting_inputs(family: Family) -> frozenset[str]:
    """Of a whole batch, and not of a row."""
    return frozenset(each.name for each in INPUTS[family] if each.role is Role.SETTING)


def run_loss(loss: Loss, inputs: Inputs, family: Family) -> Run:
    return run_losses(loss, [inputs], family)[0]


def run_losses(loss: Loss, batches: Sequence[Inputs], family: Family) -> list[Run]:
    """Values, and gradients of each batch's sum, which is the mean but for a scale. Raises Refused.

    All batches share one backward pass: a pass of its own for each would cost a third more.
    """
    leaves = [{name: batch[name].detach().requires_grad_() for name in policy_inputs(family)} for batch in batches]
    rows = [len(next(iter(each.values()))) for each in leaves]
    values = []
    for batch, own, size in zip(batches, leaves, rows, strict=True):
        with _blaming(size):
            values.append(_checked(loss({**batch, **own}), size))
    with _blaming(max(rows)):
        gradients = iter(differentiate(values, [leaf for each in leaves for leaf in each.values()]))
    return [
        Run(_by_row(value.detach(), size), {name: next(gradients) for name in own})
        for value, own, size in zip(values, leaves, rows, strict=True)
    ]


@contextmanager
def _blaming(rows: int) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, IndexError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        told = ascii(str(error).partition("\n")[0][:200])
        raise refuse(RefusalCode.WRONG_ARGUMENT, f"The loss fails on a batch of {rows} rows: {told}.") from error


def _checked(values: Tensor, rows: int) -> Tensor:
    if values.dim() == 1 and values.shape[0] in (rows, 2 * rows):
        return values
    raise refuse(RefusalCode.WRONG_SHAPE, f"Return one value a row, shape ({rows},); it is {tuple(values.shape)}.")


def _by_row(values: Tensor, rows: int) -> Tensor:
    return values if values.shape[0] == rows else values.view(2, rows).sum(dim=0)


def differentiate(values: list[Tensor], leaves: list[Tensor]) -> list[Tensor]:
    live = [each for each in values if each.requires_grad]
    if not live:
        return [torch.zeros_like(leaf) for leaf in leaves]
    ones = [torch.ones_like(each) for each in live]
    gradients = torch.autograd.grad(live, leaves, ones, allow_unused=True)
    return [torch.zeros_like(leaf) if each is None else each for leaf, each in zip(leaves, gradients, strict=True)]


@cache
def working_probes(family: Family) -> tuple[Probe, ...]:
    """The start of training, then every corner and the middle of the range in which a loss has to work."""
    agreeing = torch.zeros(_ROWS)
    probes = [Probe("where policy and reference agree, as at the start of training", _corners(family, agreeing, 0.1))]
    ratios = torch.linspace(-MAX_RATIO, MAX_RATIO, 8)
    for beta in (0.1, 1.0):
        where = f"at beta = {beta:g} with log-ratios of up to {MAX_RATIO:g} nats"
        probes.append(Probe(where, _corners(family, ratios.repeat(8), beta)))
    for beta in (0.02, 5.0):
        # Half of it on either side; the limit of a side holds there too.
        side = min(MAX_RATIO, MAX_RATIO / beta / 2)
        where = f"at beta = {beta:g} with beta times the margin within {MAX_RATIO:g}"
        probes.append(Probe(where, _corners(family, torch.linspace(-side, side, 8).repeat(8), beta)))
    return tuple(probes)


def _corners(family: Family, ratios: Tensor, beta: float) -> Inputs:
    """Each of the ratios of one side meets each of the other; in families without sides, each order of rows."""
    generator = torch.Generator().manual_seed(_SEED)
    others = ratios.view(8, 8).T.reshape(-1)
    match family:
        case Family.OUTCOME:
            batch = draw_outcomes(ratios, others, generator)
        case Family.MATCHING:
            batch = draw_sequences(ratios[:_SEQUENCES], 0.0, generator)
        case _:
            batch = draw_pairs(family, ratios, others, generator)
    return with_settings(batch, beta, _START)


@cache
def curve_batch(family: Family, margins: tuple[float, ...], progress: float = _START) -> CurveBatch:
    """A pair for each margin: its better answer lies half of it above the reference, its worse one half below."""
    margin = torch.tensor(margins)
    half, rows = margin / 2, len(margins)
    reference, zeros, good = torch.full((rows,), -60.0), torch.zeros(rows), torch.ones(rows)
    up, both = torch.full((rows,), 0.5), torch.cat((good, -good))
    if family in PAIRS:
        better, worse, lengths = reference + half, reference - half, good * 20
        inputs = name_inputs(family, better, worse, reference, reference, lengths, lengths, zeros)
        if family is Family.AUXILIARY:
            inputs |= dict.fromkeys(_AUXILIARY, zeros)
        directions = {"policy_chosen_logps": up, "policy_rejected_logps": -up}
    elif family is Family.OUTCOME:
        policy, held = torch.cat((reference + half, reference - half)), torch.cat((reference, reference))
        inputs = name_inputs(family, policy, held, held, both, torch.zeros_like(both), policy, held, both)
        directions = dict.fromkeys(policy_inputs(family), torch.cat((up, -up)))
    else:
        tokens = torch.full((2 * rows, TOKENS), -6.0)
        moved = torch.cat((half, -half))[:, None].expand_as(tokens) / TOKENS
        group = torch.arange(rows).repeat(2)
        inputs = name_inputs(family, tokens + moved, tokens, torch.ones_like(tokens), both, group)
        directions = {"policy_token_logps": torch.cat((up, -up))[:, None].expand_as(tokens) / TOKENS}
    return CurveBatch(with_settings(inputs, REFERENCE_BETA, progress), margin, directions)
