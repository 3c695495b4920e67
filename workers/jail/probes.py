"""The fixed batches on which a loss is examined, and one evaluation of a loss on one of them.

Log-probabilities are multiples of 1/64, so that differences of them are exact and two batches with the same margins
have the same margins to the last bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.fingerprints import MAGNITUDES, PROGRESS, REFERENCE_BETA
from discovery_service.losses.refusals import RefusalCode, refuse

Inputs = Mapping[str, Tensor]
Loss = Callable[[Inputs], Tensor]

ROWS = 64
SEQUENCES = 16
TOKENS = 6
GROUP = 4
"""Answers to one prompt, in the batches of the matching family."""
MAX_RATIO = 20.0
"""Nats between policy and reference on one side, in the working range; also |beta * margin| at unusual betas."""
MAX_MARGIN = 2 * MAX_RATIO

PAIRS = (Family.PAIRWISE, Family.AUXILIARY)
_STEPS_A_NAT = 64
_COMMON = (0.0, 0.5, -0.3, 0.2)
"""The mean log-ratio of both answers in the batch of each magnitude, in standard deviations of the margin."""
_AUXILIARY = {"chosen_aux": 1.0, "rejected_aux": 1.0, "prompt_value": 0.5}
"""Their standard deviations."""
_LONGEST = 64
_LONGEST_REJECTED = (64, 20, 100, 40)
"""In the batch of each magnitude: a loss that estimates a habit of preferring long answers finds several."""
_ANNOTATORS = torch.tensor([0, 1, 2, -1])


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
        gradients = iter(_differentiate(values, [leaf for each in leaves for leaf in each.values()]))
    return [
        Run(_by_row(value.detach(), size), {name: next(gradients) for name in own})
        for value, own, size in zip(values, leaves, rows, strict=True)
    ]


@contextmanager
def _blaming(rows: int) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, IndexError, ValueError) as error:
        told = ascii(str(error).partition("\n")[0][:200])
        raise refuse(RefusalCode.WRONG_ARGUMENT, f"The loss fails on a batch of {rows} rows: {told}.") from error


def _checked(values: Tensor, rows: int) -> Tensor:
    if values.dim() == 1 and values.shape[0] in (rows, 2 * rows):
        return values
    raise refuse(RefusalCode.WRONG_SHAPE, f"Return one value a row, shape ({rows},); it is {tuple(values.shape)}.")


def _by_row(values: Tensor, rows: int) -> Tensor:
    return values if values.shape[0] == rows else values.view(2, rows).sum(dim=0)


def _differentiate(values: list[Tensor], leaves: list[Tensor]) -> list[Tensor]:
    live = [each for each in values if each.requires_grad]
    if not live:
        return [torch.zeros_like(leaf) for leaf in leaves]
    ones = [torch.ones_like(each) for each in live]
    gradients = torch.autograd.grad(live, leaves, ones, allow_unused=True)
    return [torch.zeros_like(leaf) if each is None else each for leaf, each in zip(leaves, gradients, strict=True)]


def with_settings(inputs: Inputs, beta: float, progress: float) -> dict[str, Tensor]:
    settings = {"beta": beta, "progress": progress}
    return {**inputs, **{name: torch.tensor(value, dtype=torch.float64) for name, value in settings.items()}}


@cache
def spread_batches(family: Family) -> tuple[Inputs, ...]:
    """One batch for each magnitude. Lengths, annotators, scores and progress vary with it and within it."""
    batches = []
    for seed, (magnitude, progress) in enumerate(zip(MAGNITUDES, PROGRESS, strict=True)):
        generator = torch.Generator().manual_seed(seed)
        batch = _SPREAD[family](magnitude, generator)
        batches.append(with_settings(batch, REFERENCE_BETA, progress))
    return tuple(batches)


@cache
def working_probes(family: Family) -> tuple[Probe, ...]:
    """The start of training, then every corner and the middle of the range in which a loss has to work."""
    agreeing = torch.zeros(ROWS)
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
    generator = torch.Generator().manual_seed(len(MAGNITUDES))
    others = ratios.view(8, 8).T.reshape(-1)
    match family:
        case Family.OUTCOME:
            batch = _outcomes(ratios, others, generator)
        case Family.MATCHING:
            batch = _sequences(ratios[:SEQUENCES], 0.0, generator)
        case _:
            batch = _pairs(family, ratios, others, generator)
    return with_settings(batch, beta, PROGRESS[1])


@cache
def curve_batch(family: Family, margins: tuple[float, ...]) -> CurveBatch:
    """A pair for each margin: its better answer lies half of it above the reference, its worse one half below."""
    margin = torch.tensor(margins)
    half, rows = margin / 2, len(margins)
    reference, zeros, good = torch.full((rows,), -60.0), torch.zeros(rows), torch.ones(rows)
    up, both = torch.full((rows,), 0.5), torch.cat((good, -good))
    if family in PAIRS:
        inputs = _named(family, reference + half, reference - half, reference, reference, good * 20, good * 20, zeros)
        if family is Family.AUXILIARY:
            inputs |= dict.fromkeys(_AUXILIARY, zeros)
        directions = {"policy_chosen_logps": up, "policy_rejected_logps": -up}
    elif family is Family.OUTCOME:
        policy, held = torch.cat((reference + half, reference - half)), torch.cat((reference, reference))
        inputs = _named(family, policy, held, held, both, torch.zeros_like(both), policy, held, both)
        directions = dict.fromkeys(policy_inputs(family), torch.cat((up, -up)))
    else:
        tokens = torch.full((2 * rows, TOKENS), -6.0)
        moved = torch.cat((half, -half))[:, None].expand_as(tokens) / TOKENS
        group = torch.arange(rows).repeat(2)
        inputs = _named(family, tokens + moved, tokens, torch.ones_like(tokens), both, group)
        directions = {"policy_token_logps": torch.cat((up, -up))[:, None].expand_as(tokens) / TOKENS}
    return CurveBatch(with_settings(inputs, REFERENCE_BETA, PROGRESS[1]), margin, directions)


def _named(family: Family, *values: Tensor) -> dict[str, Tensor]:
    """In the family's order of inputs, of which the settings come last."""
    pairs = zip(INPUTS[family], values, strict=False)
    return {each.name: value.to(torch.int64) if each.is_integer else value for each, value in pairs}


def _exact(values: Tensor) -> Tensor:
    return (values * _STEPS_A_NAT).round() / _STEPS_A_NAT


def _normal(rows: int, sd: float, generator: torch.Generator) -> Tensor:
    """Quantiles in random order: no outlier decides what a batch shows."""
    quantiles = torch.special.ndtri((torch.arange(rows) + 0.5) / rows)
    return sd * quantiles[torch.randperm(rows, generator=generator)]


def _uniform(rows: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(rows, generator=generator)


def _spread_pairs(family: Family, magnitude: float, generator: torch.Generator) -> Inputs:
    sd = magnitude / REFERENCE_BETA
    margin = _normal(ROWS, sd, generator)
    # Both answers of a pair become likelier or less likely together, on average too: KTO looks at that.
    which = MAGNITUDES.index(magnitude)
    common = _normal(ROWS, sd / 2, generator) + sd * _COMMON[which]
    return _pairs(family, common + margin / 2, common - margin / 2, generator, longest=_LONGEST_REJECTED[which])


def _pairs(
    family: Family, chosen: Tensor, rejected: Tensor, generator: torch.Generator, *, longest: int = _LONGEST
) -> dict[str, Tensor]:
    """From how far the policy has moved from the reference, and the longest rejected answer."""
    rows = len(chosen)
    lengths = [_uniform(rows, 8, each, generator).round() for each in (_LONGEST, longest)]
    references = [_exact(-40 - length * _uniform(rows, 1, 3, generator)) for length in lengths]
    annotators = _ANNOTATORS[torch.randint(len(_ANNOTATORS), (rows,), generator=generator)]
    policy = (references[0] + _exact(chosen), references[1] + _exact(rejected))
    batch = _named(family, *policy, *references, *lengths, annotators)
    if family is Family.AUXILIARY:
        batch |= {name: _normal(rows, sd, generator) for name, sd in _AUXILIARY.items()}
    return batch


def _spread_outcomes(magnitude: float, generator: torch.Generator) -> Inputs:
    return _outcomes(_normal(ROWS, magnitude, generator), _normal(ROWS, magnitude, generator), generator)


def _outcomes(recorded: Tensor, sampled: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    rows = len(recorded)
    references = [_exact(-40 - _uniform(rows, 8, 64, generator)) for _ in range(2)]
    behavior = references[0] + _exact(_normal(rows, 0.5, generator))
    outcomes, predicted = _normal(rows, 1.0, generator), _normal(rows, 0.5, generator)
    return _named(
        Family.OUTCOME,
        *(references[0] + _exact(recorded), behavior, references[0], outcomes, outcomes / 2 + predicted),
        *(references[1] + _exact(sampled), references[1], _normal(rows, 1.0, generator)),
    )


def _spread_sequences(magnitude: float, generator: torch.Generator) -> Inputs:
    return _sequences(_normal(SEQUENCES, magnitude, generator), 0.3, generator)


def _sequences(ratios: Tensor, noise: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Some tokens are likely under the reference and some are not, for losses that treat them differently."""
    rows = len(ratios)
    lengths = torch.randint(2, TOKENS + 1, (rows, 1), generator=generator)
    mask = (torch.arange(TOKENS) < lengths).float()
    reference = _exact(-_uniform(rows * TOKENS, 0.5, 8, generator).view(rows, TOKENS))
    moved = ratios[:, None] / lengths + noise * torch.randn(rows, TOKENS, generator=generator)
    policy = (reference + _exact(moved)).clamp(max=-1 / _STEPS_A_NAT)
    group = torch.arange(rows) // GROUP
    return _named(Family.MATCHING, policy, reference, mask, _normal(rows, 1.5, generator), group)


_SPREAD: Mapping[Family, Callable[[float, torch.Generator], Inputs]] = {
    Family.PAIRWISE: lambda magnitude, generator: _spread_pairs(Family.PAIRWISE, magnitude, generator),
    Family.AUXILIARY: lambda magnitude, generator: _spread_pairs(Family.AUXILIARY, magnitude, generator),
    Family.OUTCOME: _spread_outcomes,
    Family.MATCHING: _spread_sequences,
}
