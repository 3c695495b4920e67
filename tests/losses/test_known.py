"""The library against formulas written out a second time, in floats and without torch."""

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from statistics import fmean, stdev, variance

import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES, REFERENCE_LOSSES, REFERENCES
from discovery_service.losses.known import list_known
from tests.losses.eager import KNOWN, load

ROWS = 7
BETAS = (0.05, 0.1, 0.5, 2.0)


@dataclass(frozen=True)
class Row:
    """Log-ratios to the reference, log-probabilities, lengths."""

    w: float
    l: float  # noqa: E741 - the papers' names: y_w won, y_l lost
    policy_w: float
    policy_l: float
    words_w: float
    words_l: float
    beta: float

    @property
    def rho(self) -> float:
        return self.w - self.l

    @property
    def z(self) -> float:
        return self.beta * self.rho


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def nll(x: float) -> float:
    """-log sigmoid, as the negative log of a probability."""
    return -math.log(sigmoid(x))


def hinge(x: float) -> float:
    return 1 - x if x < 1 else 0.0


def odds(mean_logp: float) -> float:
    return math.exp(mean_logp) / (1 - math.exp(mean_logp))


def exo(row: Row) -> float:
    chosen, target = sigmoid(row.z), 0.999
    return chosen * math.log(chosen / target) + (1 - chosen) * math.log((1 - chosen) / (1 - target))


OF_A_ROW: Mapping[str, Callable[[Row], float]] = {
    "dpo": lambda row: nll(row.z),
    "cdpo": lambda row: 0.9 * nll(row.z) + 0.1 * nll(-row.z),
    "robust_dpo": lambda row: (0.9 * nll(row.z) - 0.1 * nll(-row.z)) / 0.8,
    "ipo": lambda row: (row.rho - 0.5 / row.beta) ** 2,
    "ipo_avg": lambda row: (row.w / row.words_w - row.l / row.words_l - 0.5 / row.beta) ** 2,
    "slic": lambda row: hinge(row.z),
    "exp": lambda row: math.exp(-row.z),
    "simpo": lambda row: nll(row.beta * (row.policy_w / row.words_w - row.policy_l / row.words_l) - 0.5),
    "orpo": lambda row: (
        -row.policy_w / row.words_w
        + row.beta * math.log(1 + odds(row.policy_l / row.words_l) / odds(row.policy_w / row.words_w))
    ),
    "length_dpo": lambda row: nll(row.z + 0.05 * row.words_w - 0.05 * row.words_l),
    "dpop": lambda row: nll(row.beta * (row.rho - 50 * max(0.0, -row.w))),
    "dpo_nll": lambda row: nll(row.z) - row.policy_w / row.words_w,
    "cal_dpo": lambda row: nll(row.rho) + (row.w - 0.5 / row.beta) ** 2 + (row.l + 0.5 / row.beta) ** 2,
    "chi_po": lambda row: nll(row.beta * (math.exp(row.w) + row.w - math.exp(row.l) - row.l)),
    "sppo": lambda row: (row.w - 0.5 / row.beta) ** 2 + (row.l + 0.5 / row.beta) ** 2,
    "exo": exo,
    "nca_pair": lambda row: nll(row.beta * row.w) + 0.5 * nll(-row.beta * row.w) + 0.5 * nll(-row.beta * row.l),
    "apo_zero": lambda row: sigmoid(-row.beta * row.w) + sigmoid(row.beta * row.l),
    "apo_down": lambda row: sigmoid(row.beta * row.w) + sigmoid(-row.z),
    "padll": lambda row: (0.45 if row.z < 0 else 0.9) * nll(row.z),
    "cell": lambda row: (math.exp(-row.z) + nll(row.z)) / 2,
    "lrml": lambda row: nll(row.z) * sigmoid(-20 * row.z) + math.exp(-row.z) * sigmoid(20 * row.z),
    "pfl": lambda row: nll(row.z) / 2 if row.policy_w > row.policy_l else 2 * hinge(row.z),
}


def kto_pair(rows: Sequence[Row]) -> list[float]:
    kl_w, kl_l = (max(0.0, fmean(values)) for values in ([row.w for row in rows], [row.l for row in rows]))
    better = [sigmoid(-row.beta * (row.w - kl_l)) for row in rows]
    return better + [sigmoid(-row.beta * (kl_w - row.l)) for row in rows]


def aot(rows: Sequence[Row]) -> list[float]:
    policy = sorted(row.policy_w - row.policy_l for row in rows)
    reference = sorted((row.policy_w - row.w) - (row.policy_l - row.l) for row in rows)
    return [nll(row.beta * (ours - theirs)) for row, ours, theirs in zip(rows, policy, reference, strict=True)]


def sign(rows: Sequence[Row]) -> list[float]:
    scale = math.sqrt(fmean(row.rho**2 for row in rows))
    return [sigmoid(-row.rho / (0.3 * scale)) for row in rows]


def dbaql(rows: Sequence[Row]) -> list[float]:
    share = sigmoid(variance(row.z / 0.05 for row in rows))
    return [share * nll(row.z / 0.9) + (1 - share) * math.exp(-0.9 * row.z) for row in rows]


def aql(rows: Sequence[Row]) -> list[float]:
    moved = 0.99 * 0.5 + 0.01 * sigmoid(fmean(row.z / 0.05 for row in rows))
    shares = [sigmoid(moved - row.z / 0.05) for row in rows]
    return [share * nll(row.z) + (1 - share) * hinge(row.z) for share, row in zip(shares, rows, strict=True)]


def aqfl(rows: Sequence[Row]) -> list[float]:
    scaled = [row.z / 0.05 for row in rows]
    quantile = 0.95 * stdev(scaled) * fmean(sigmoid(-each) for each in scaled) + 0.05 * sigmoid(fmean(scaled))
    shares = [sigmoid(0.1 * abs(each - quantile)) for each in scaled]
    return [share * nll(row.z) + (1 - share) * hinge(row.z) for share, row in zip(shares, rows, strict=True)]


OF_A_BATCH: Mapping[str, Callable[[Sequence[Row]], list[float]]] = {
    each.__name__: each for each in (kto_pair, aot, sign, dbaql, aql, aqfl)
}


def batch(beta: float) -> tuple[dict[str, torch.Tensor | float], list[Row]]:
    generator = torch.Generator().manual_seed(round(100 * beta))
    reference = -20 - 30 * torch.rand(2, ROWS, generator=generator, dtype=torch.float64)
    # Narrow enough that no plain exp above loses digits; both sides of every max, switch and clamp.
    ratio = torch.randn(2, ROWS, generator=generator, dtype=torch.float64) * 0.6 / min(beta, 1.0) ** 0.5
    policy, words = reference + ratio, torch.randint(5, 30, (2, ROWS), generator=generator).double()
    inputs = {
        **{f"policy_{side}_logps": policy[i] for i, side in enumerate(("chosen", "rejected"))},
        **{f"reference_{side}_logps": reference[i] for i, side in enumerate(("chosen", "rejected"))},
        **{f"{side}_lengths": words[i] for i, side in enumerate(("chosen", "rejected"))},
        "beta": beta,
    }
    columns = torch.cat((policy - reference, policy, words)).T.tolist()
    return inputs, [Row(*values, beta=beta) for values in columns]


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("name", KNOWN)
def test_a_loss_is_its_papers_formula(name: str, beta: float) -> None:
    inputs, rows = batch(beta)
    function = load(KNOWN[name].text)
    asked = function.__code__.co_varnames[: function.__code__.co_argcount]
    values = function(**{each: inputs[each] for each in asked if each in inputs})
    expected = [OF_A_ROW[name](row) for row in rows] if name in OF_A_ROW else OF_A_BATCH[name](rows)
    assert values.tolist() == pytest.approx(expected, rel=1e-9)


def test_the_formulas_see_both_sides_of_every_switch() -> None:
    rows = [row for beta in BETAS for row in batch(beta)[1]]
    for is_one_side in ([row.z < 0 for row in rows], [row.z < 1 for row in rows], [row.w < 0 for row in rows]):
        assert len(set(is_one_side)) == 2
    assert len({row.policy_w > row.policy_l for row in rows}) == 2
    assert {fmean(row.w for row in batch(beta)[1]) > 0 for beta in BETAS} == {True, False}


def test_every_source_has_a_formula_here() -> None:
    assert {*OF_A_ROW, *OF_A_BATCH} == set(KNOWN)


@pytest.mark.parametrize("family", Family)
def test_names_and_sources_are_the_same(family: Family) -> None:
    folder = files("discovery_service.losses") / "library" / family
    found = (
        {each.name.removesuffix(".py") for each in folder.iterdir() if each.name.endswith(".py")}
        if folder.is_dir()
        else set()
    )
    taken = set(KNOWN_LOSSES[Family.PAIRWISE]) if family is Family.AUXILIARY else set()
    assert found == set(KNOWN_LOSSES[family]) - (taken - found)
    assert [each.name for each in list_known(family)] == list(KNOWN_LOSSES[family])


@pytest.mark.parametrize("family", Family)
def test_the_loss_that_all_of_a_family_are_compared_with_is_there_and_no_other(family: Family) -> None:
    assert [name for name in KNOWN_LOSSES[family] if name in REFERENCES] == [REFERENCE_LOSSES[family]]


@pytest.mark.parametrize("name", KNOWN)
def test_a_source_says_who_published_it_and_what_differs(name: str) -> None:
    known = KNOWN[name]
    assert known.title.endswith(".")
    assert any(mark in known.paper for mark in ("arXiv", "2023"))
    assert known.defaults
    assert known.differs


@pytest.mark.parametrize("name", KNOWN)
def test_a_source_is_one_function_of_named_inputs(name: str) -> None:
    docstring, function = ast.parse(KNOWN[name].text).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(function, ast.FunctionDef)
    assert function.name == f"{name}_loss"


def test_what_needs_no_reference_asks_for_none() -> None:
    without = {name for name, each in KNOWN.items() if "reference_chosen_logps" not in each.text}
    assert without == {"simpo", "orpo"}


def test_lrml_starts_as_the_paper_has_it() -> None:
    z = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    nothing = torch.zeros(1, dtype=torch.float64)
    value = load(KNOWN["lrml"].text)(z / 0.05, nothing, nothing, nothing, 0.05)
    value.sum().backward()
    assert value.item() == pytest.approx(0.847, abs=5e-4)
    assert z.grad is not None
    assert z.grad.item() == pytest.approx(0.784, abs=5e-4)
