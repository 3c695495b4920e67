from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.losses.fingerprints import TWIN_COSINE
from discovery_service.losses.known import list_known
from tests.losses.eager import KNOWN, eager, known, of_margin
from workers.gate.twins import Archive, Neighbour, find_twins, measure_cosines, read_fingerprint
from workers.jail.draws import Inputs
from workers.jail.fingerprint import measure_fingerprint
from workers.jail.probes import Loss

F = torch.nn.functional
PLAIN = 0
"""The place of no shift among the shifts that are tried."""


@cache
def fingerprint(loss: Loss | str) -> bytes:
    return measure_fingerprint(known(loss) if isinstance(loss, str) else loss, Family.PAIRWISE)


@pytest.fixture(scope="module")
def library() -> Archive:
    return Archive((name, fingerprint(name)) for name in KNOWN)


def logistic(factor: float) -> Loss:
    return of_margin(lambda rho, inputs: F.softplus(-factor * inputs["beta"] * rho))


def nearest(loss: Loss | str, archive: Archive) -> Neighbour:
    return find_twins(fingerprint(loss), archive)[0]


def between(ours: str, theirs: str) -> Neighbour:
    return find_twins(fingerprint(ours), Archive([(theirs, fingerprint(theirs))]))[0]


def average(ours: str, theirs: str) -> float:
    """Without a shift of beta, over all magnitudes."""
    return float(measure_cosines(fingerprint(ours), Archive([(theirs, fingerprint(theirs))]))[PLAIN].mean())


@pytest.mark.parametrize("name", KNOWN)
def test_a_loss_is_its_own_twin(name: str, library: Archive) -> None:
    found = nearest(name, library)
    assert (found.name, found.is_twin, found.beta_shift) == (name, True, 1.0)
    assert found.cosine == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", KNOWN)
def test_no_two_losses_of_the_library_are_twins(name: str, library: Archive) -> None:
    assert [each.name for each in find_twins(fingerprint(name), library) if each.is_twin] == [name]


def with_number(name: str, beta: float) -> Loss:
    """The loss as it is written by who takes a number instead of beta."""
    return lambda inputs: known(name)({**inputs, "beta": torch.tensor(beta, dtype=torch.float64)})


@pytest.mark.parametrize("beta", [0.1, 0.12, 0.2, 0.5, 0.6, 1, 1.2, 2, 3])
def test_dpo_with_a_number_for_its_beta_is_dpo(beta: float, library: Archive) -> None:
    twins = {each.name: each for each in find_twins(fingerprint(with_number("dpo", beta)), library) if each.is_twin}
    assert twins["dpo"].beta == pytest.approx(beta, rel=0.26)
    assert "beta" in twins["dpo"].document()


@pytest.mark.parametrize("name", KNOWN)
def test_every_loss_with_a_number_for_its_beta_is_itself(name: str, library: Archive) -> None:
    found = nearest(with_number(name, 1), library)
    assert (found.name, found.is_twin, found.beta_shift) == (name, True, 1.0)
    assert found.beta in (1, None)


@pytest.mark.parametrize(
    "formula",
    [
        lambda rho: -rho,
        lambda rho: F.relu(5 - rho),
        lambda rho: torch.log1p(F.softplus(-rho) ** 2),
        lambda rho: F.softplus(-0.02 * rho),
    ],
)
def test_other_losses_without_a_beta_are_nobodys_twin(
    formula: Callable[[torch.Tensor], torch.Tensor], library: Archive
) -> None:
    assert not nearest(of_margin(lambda rho, _: formula(rho)), library).is_twin


@pytest.mark.parametrize("family", [Family.AUXILIARY, Family.OUTCOME, Family.MATCHING])
def test_in_every_family_the_reference_with_a_number_for_its_beta_is_itself(family: Family) -> None:
    losses = {each.name: eager(each.text) for each in list_known(family)}
    archive = Archive((name, measure_fingerprint(loss, family)) for name, loss in losses.items())
    reference = REFERENCE_LOSSES[family]
    one = torch.tensor(1.0, dtype=torch.float64)
    found = find_twins(measure_fingerprint(lambda inputs: losses[reference]({**inputs, "beta": one}), family), archive)
    assert (found[0].name, found[0].is_twin, found[0].beta) == (reference, True, 1)


@pytest.mark.parametrize("factor", [0.9, 1.1, 2**-0.25, 2**0.25, 1.3])
def test_dpo_at_a_slightly_other_beta_is_dpo(factor: float, library: Archive) -> None:
    found = nearest(logistic(factor), library)
    assert (found.name, found.is_twin) == ("dpo", True)


@pytest.mark.parametrize(("factor", "shift"), [(2.0, 0.5), (0.25, 4.0), (3.5, 0.25)])
def test_dpo_at_a_far_other_beta_is_named_with_the_shift(factor: float, shift: float, library: Archive) -> None:
    found = nearest(logistic(factor), library)
    assert (found.name, found.is_twin) == ("dpo", True)
    assert found.beta_shift == pytest.approx(shift)


EQUIVARIANT = ["dpo", "cdpo", "slic", "exp", "ipo", "padll", "aqfl", "kto_pair", "sppo"]
"""Their beta only sets the scale of the log-ratios."""


@pytest.mark.parametrize("name", EQUIVARIANT)
@pytest.mark.parametrize("factor", [1 / 16, 1 / 8, 8.0, 16.0])
def test_a_loss_at_a_very_far_other_beta_is_itself_and_nothing_else(name: str, factor: float, library: Archive) -> None:
    found = find_twins(fingerprint(of_rescaled(known(name), factor)), library)
    assert found[0].name == name
    # Robust DPO lies at the edge of DPO, .9949 to .9951 by the betas at which they are compared.
    assert {each.name for each in found if each.is_twin} - ({"robust_dpo"} if name == "dpo" else set()) == {name}


@pytest.mark.parametrize("name", ["dpo", "cdpo", "exp", "ipo", "padll", "kto_pair"])
@pytest.mark.parametrize("factor", [0.1, 12.0])
def test_between_two_betas_of_the_grid_a_loss_without_kinks_is_found_too(
    name: str, factor: float, library: Archive
) -> None:
    found = find_twins(fingerprint(of_rescaled(known(name), factor)), library)
    assert (found[0].name, found[0].is_twin) == (name, True)


def of_rescaled(loss: Loss, factor: float) -> Loss:
    """The same loss of log-ratios times the factor."""
    return lambda inputs: loss(
        {
            **inputs,
            **{
                name: inputs[name.replace("policy", "reference")]
                + factor * (inputs[name] - inputs[name.replace("policy", "reference")])
                for name in ("policy_chosen_logps", "policy_rejected_logps")
            },
        }
    )


@pytest.mark.parametrize("factor", [1 / 16, 1 / 8, 8.0, 16.0])
def test_a_smoothed_loss_at_a_far_other_beta_is_still_no_twin_of_dpo(factor: float) -> None:
    rescaled = fingerprint(of_rescaled(known("cdpo"), factor))
    assert not any(each.is_twin for each in find_twins(rescaled, Archive([("dpo", fingerprint("dpo"))])))


def test_ipo_times_three_is_ipo(library: Archive) -> None:
    found = nearest(of_margin(lambda rho, inputs: 3 * (rho - 1 / (2 * inputs["beta"])) ** 2 + 7), library)
    assert (found.name, found.is_twin, found.beta_shift) == ("ipo", True, 1.0)


def test_cdpo_is_near_dpo_and_no_twin() -> None:
    assert between("cdpo", "dpo").is_near
    assert between("dpo", "cdpo").is_near


def test_cell_and_exp_are_flagged_as_near() -> None:
    assert between("cell", "exp").is_near
    assert between("exp", "cell").is_near
    assert average("exp", "cell") == pytest.approx(0.999, abs=1e-3)


def test_measured_cosines_of_others() -> None:
    assert average("dpo", "padll") == pytest.approx(0.953, abs=0.02)
    # LRML rises where DPO falls, but only at small margins.
    assert average("dpo", "lrml") < 0.8
    of_lrml = measure_cosines(fingerprint("dpo"), Archive([("lrml", fingerprint("lrml"))]))
    assert min(each.min() for each in of_lrml) < -0.3
    assert between("lrml", "dpo").cosine < 0.5


@pytest.mark.parametrize("annotator", [-1, 0, 1, 2])
def test_a_loss_that_drops_the_rows_of_one_annotator_is_no_twin_of_dpo(annotator: int, library: Archive) -> None:
    dropping = of_margin(
        lambda rho, inputs: F.softplus(-inputs["beta"] * rho) * (inputs["annotator"] != annotator).float()
    )
    found = nearest(dropping, library)
    assert not found.is_twin
    assert not found.is_near


@pytest.mark.parametrize(
    "loss",
    [
        of_margin(lambda rho, inputs: F.softplus(-inputs["beta"] * (0.5 + inputs["progress"]) * rho)),
        of_margin(lambda rho, inputs: F.softplus(-inputs["beta"] * rho + 0.05 * inputs["rejected_lengths"])),
        of_margin(
            lambda rho, inputs: F.softplus(
                -inputs["beta"] * rho - 0.1 * (inputs["chosen_lengths"] - inputs["rejected_lengths"]).mean()
            )
        ),
    ],
    ids=["schedule", "lengths", "estimated habit"],
)
def test_what_depends_on_more_than_dpo_does_is_no_twin_of_it(loss: Loss, library: Archive) -> None:
    assert not any(each.is_twin for each in find_twins(fingerprint(loss), library))


CENTRED = {
    "its mean taken off": ("dpo", "F.softplus(-(z - z.mean().detach()))"),
    "three times its mean added": ("dpo", "F.softplus(-(z + 3 * z.mean().detach()))"),
    "a weight by its mean": ("dpo", "F.softplus(-z) * torch.sigmoid(-z.mean().detach())"),
    "a stop by its mean": ("dpo", "F.softplus(-z) * (z.mean().detach() < 1.0).float()"),
    "its median taken off": ("dpo", "F.softplus(-(z - z.median().detach()))"),
    "ipo around its mean": ("ipo", "(rho - rho.mean().detach() - 1 / (2 * beta)) ** 2"),
    "exp around its mean": ("exp", "torch.exp(-(z - z.mean().detach()))"),
    "another loss at weak betas": ("dpo", "torch.where(beta < 0.2, torch.relu(1 - z), F.softplus(-z))"),
    "another loss at strong betas": ("dpo", "torch.where(beta > 1.2, torch.relu(1 - z), F.softplus(-z))"),
    "another loss for a third of the time": (
        "dpo",
        "torch.where((progress > 0.12) & (progress < 0.45), torch.relu(1 - z), F.softplus(-z))",
    ),
    "another loss late": ("dpo", "torch.where((progress > 0.6) & (progress < 0.9), torch.relu(1 - z), F.softplus(-z))"),
}  # fmt: skip


@pytest.mark.parametrize("name", CENTRED)
def test_what_looks_at_its_batch_or_changes_with_beta_or_time_is_no_twin(name: str, library: Archive) -> None:
    of, formula = CENTRED[name]
    source = (
        "def loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta,"
        " progress):\n    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps -"
        f" reference_rejected_logps)\n    z = beta * rho\n    return {formula}\n"
    )
    found = find_twins(fingerprint(eager(source)), library, limit=len(KNOWN))
    assert [each.name for each in found if each.is_twin] == []
    assert of in [each.name for each in found]


OTHER_FAMILIES = {
    "rewards around their mean": (
        Family.OUTCOME,
        lambda inputs: -inputs["outcomes"] * inputs["policy_logps"],
        lambda inputs: -(inputs["outcomes"] - inputs["outcomes"].mean()) * inputs["policy_logps"],
    ),
    "a reference point": (
        Family.OUTCOME,
        lambda inputs: _kto(inputs, 0.0),
        lambda inputs: _kto(inputs, 1.0),
    ),
    "sequences' rewards around their mean": (
        Family.MATCHING,
        lambda inputs: -inputs["rewards"] * (inputs["mask"] * inputs["policy_token_logps"]).sum(dim=1),
        lambda inputs: (
            -(inputs["rewards"] - inputs["rewards"].mean()) * (inputs["mask"] * inputs["policy_token_logps"]).sum(dim=1)
        ),
    ),
    "auxiliary scores around their mean": (
        Family.AUXILIARY,
        lambda inputs: -inputs["chosen_aux"].exp() * inputs["policy_chosen_logps"],
        lambda inputs: -(inputs["chosen_aux"] - inputs["chosen_aux"].mean()).exp() * inputs["policy_chosen_logps"],
    ),
}


def _kto(inputs: Inputs, share: float) -> torch.Tensor:
    z = inputs["beta"] * (inputs["policy_logps"] - inputs["reference_logps"])
    point = share * z.mean().clamp(min=0).detach()
    return torch.where(inputs["outcomes"] > 0, 1 - torch.sigmoid(z - point), 1 - torch.sigmoid(point - z))


@pytest.mark.parametrize("name", OTHER_FAMILIES)
def test_in_every_family_scores_around_their_mean_are_others(name: str) -> None:
    family, plain, centred = OTHER_FAMILIES[name]
    archive = Archive([("plain", measure_fingerprint(plain, family))])
    assert not find_twins(measure_fingerprint(centred, family), archive)[0].is_twin
    assert find_twins(measure_fingerprint(lambda inputs: 2 * plain(inputs), family), archive)[0].is_twin


def test_a_reversed_loss_is_no_twin(library: Archive) -> None:
    assert nearest(logistic(-1.0), library).cosine < 0.5


@pytest.mark.parametrize(("ours", "theirs"), [("dpo", "robust_dpo"), ("padll", "cdpo"), ("sppo", "cal_dpo")])
def test_nearness_is_mutual(ours: str, theirs: str) -> None:
    there, back = between(ours, theirs), between(theirs, ours)
    assert there.is_twin == back.is_twin
    assert there.cosine == pytest.approx(back.cosine, abs=0.01)


def test_the_twin_is_found_among_a_thousand(library: Archive) -> None:
    noise, shape = np.random.default_rng(0), read_fingerprint(fingerprint("dpo")).shape
    strangers = [(f"stranger {i}", _random_fingerprint(noise, shape)) for i in range(1000)]
    archive = Archive([*strangers[:500], ("dpo", fingerprint("dpo")), *strangers[500:]])
    found = find_twins(fingerprint(logistic(0.9)), archive, limit=3)
    assert [each.is_twin for each in found] == [True, False, False]
    assert found[0].name == "dpo"


def _random_fingerprint(noise: np.random.Generator, shape: tuple[int, ...]) -> bytes:
    blocks = noise.normal(size=shape)
    raw: bytes = (blocks / np.linalg.norm(blocks, axis=-1, keepdims=True)).astype("<f2").tobytes()
    return raw


def test_an_empty_archive_has_no_twins() -> None:
    assert find_twins(fingerprint("dpo"), Archive([])) == []


def test_two_losses_that_push_nowhere_at_the_same_time_agree_there() -> None:
    source = "def loss(policy_chosen_logps, policy_rejected_logps, beta, progress):\n    return {}"
    late = source.format(
        "torch.relu(progress - 0.3) * F.softplus(beta * (policy_rejected_logps - policy_chosen_logps))"
    )
    double = late.replace("return ", "return 2 * ")
    found = find_twins(fingerprint(eager(late)), Archive([("double", fingerprint(eager(double)))]))
    assert found[0].cosine == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("raw", [b"", b"\x00" * 7, b"\x00" * 61])
def test_bytes_that_are_no_fingerprint_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        read_fingerprint(raw)


@pytest.mark.parametrize("forged", [0.0, np.nan, np.inf, 5.0])
def test_a_forged_fingerprint_is_refused(forged: float, library: Archive) -> None:
    values = np.frombuffer(fingerprint("dpo"), dtype="<f2").copy()
    values[:130] = forged
    with pytest.raises(ValueError, match="unit length"):
        find_twins(values.tobytes(), library)


def test_an_archive_holds_one_family() -> None:
    other = measure_fingerprint(lambda inputs: -inputs["policy_token_logps"].sum(dim=1), Family.MATCHING)
    with pytest.raises(ValueError, match="one family"):
        Archive([("dpo", fingerprint("dpo")), ("pm", other)])


def test_a_twin_lies_above_the_limit_and_a_near_one_below() -> None:
    assert between("dpo", "dpo").document()["is_near"] is False
    assert between("cell", "exp").cosine < TWIN_COSINE
