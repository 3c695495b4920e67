import math
from typing import Any

import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.losses.passport import describe_passport
from tests.jail.probes import losses
from tests.losses.eager import KNOWN, eager, known, of_margin
from workers.jail.curves import measure_curve, shown_curve
from workers.jail.examine import examine_loss
from workers.jail.probes import Loss

F = torch.nn.functional


def passport(loss: Loss | str, family: Family = Family.PAIRWISE) -> dict[str, Any]:
    measured = known(loss) if isinstance(loss, str) else loss
    return examine_loss(measured, family).passport


@pytest.fixture(scope="module")
def passports() -> dict[str, dict[str, Any]]:
    return {name: passport(name) for name in KNOWN}


def having(passports: dict[str, dict[str, Any]], *path: str) -> set[str]:
    def find(value: Any) -> Any:
        for key in path:
            value = value[key]
        return value

    return {name for name, each in passports.items() if find(each)}


def test_lrml_rises_where_training_starts(passports: dict[str, dict[str, Any]]) -> None:
    lrml = passports["lrml"]
    assert lrml["value_at_zero"] == pytest.approx(0.847, abs=1e-3)
    assert lrml["slope_at_zero"] == pytest.approx(0.784, abs=1e-3)
    assert lrml["rises"] == [[pytest.approx(-0.1185, abs=5e-4), pytest.approx(0.0720, abs=5e-4)]]
    assert lrml["flags"] == ["rises_at_zero", "hump"]


def test_aql_rises_where_the_papers_figures_have_it(passports: dict[str, dict[str, Any]]) -> None:
    assert passports["aql"]["rises"] == [[pytest.approx(-0.092, abs=1e-3), pytest.approx(0.089, abs=1e-3)]]


def test_who_looks_at_what(passports: dict[str, dict[str, Any]]) -> None:
    everyone = set(KNOWN)
    assert everyone - having(passports, "uses", "reference") == {"simpo", "orpo"}
    assert having(passports, "uses", "lengths") == {"ipo_avg", "simpo", "orpo", "length_dpo", "dpo_nll"}
    assert everyone - having(passports, "uses", "beta") == {"sign"}
    assert having(passports, "uses", "annotator") == set()
    assert having(passports, "uses", "progress") == set()


@pytest.mark.parametrize("used", ["annotator", "progress"])
def test_what_the_library_ignores_is_seen_where_it_is_used(used: str) -> None:
    loss = of_margin(lambda rho, inputs: F.softplus(-inputs["beta"] * rho) * (1.5 + inputs[used]))
    uses = passport(loss)["uses"]
    assert [name for name, is_used in uses.items() if is_used] == [
        "reference",
        *sorted({used, "beta"}, key=list(uses).index),
    ]


def test_who_looks_at_the_batch(passports: dict[str, dict[str, Any]]) -> None:
    assert having(passports, "is_batch_coupled") == {"kto_pair", "aot", "sign", "dbaql", "aql", "aqfl"}


def test_who_sees_the_margin_alone(passports: dict[str, dict[str, Any]]) -> None:
    others = {"ipo_avg", "simpo", "orpo", "length_dpo", "dpo_nll", "kto_pair", "dpop", "cal_dpo", "chi_po", "sppo"}
    others |= {"nca_pair", "aot", "apo_zero", "apo_down", "pfl"}
    assert set(KNOWN) - having(passports, "is_margin_only") == others


def test_for_whom_beta_is_more_than_a_scale(passports: dict[str, dict[str, Any]]) -> None:
    # AOT compares with the reference's own margins, PFL with the policy's; ORPO's beta is a weight.
    others = {"simpo", "orpo", "dpo_nll", "cal_dpo", "chi_po", "aot", "pfl"}
    assert set(KNOWN) - having(passports, "is_beta_equivariant") == others


def test_shapes(passports: dict[str, dict[str, Any]]) -> None:
    convex = {"dpo", "cdpo", "robust_dpo", "ipo", "slic", "exp", "cell", "sppo", "nca_pair", "cal_dpo"}
    assert convex <= having(passports, "is_convex")
    assert not {"kto_pair", "apo_zero", "sign", "padll", "lrml", "aql", "pfl"} & having(passports, "is_convex")
    assert {"dpo", "robust_dpo", "slic", "exp", "kto_pair", "aqfl", "cell"} <= having(passports, "is_monotone")
    assert not {"cdpo", "ipo", "padll", "lrml", "aql"} & having(passports, "is_monotone")


def test_a_loss_that_turns_rises_from_there_on(passports: dict[str, dict[str, Any]]) -> None:
    assert passports["ipo"]["rises"] == [[pytest.approx(0.5, abs=1e-3), None]]
    assert passports["cdpo"]["rises"] == [[pytest.approx(math.log(9), abs=1e-2), None]]
    assert passports["apo_down"]["rises"][0][0] is None


def test_padll_jumps_up_at_zero(passports: dict[str, dict[str, Any]]) -> None:
    assert passports["padll"]["jumps"] == [[0.0, pytest.approx(0.312, abs=5e-3)]]
    assert {name for name, each in passports.items() if "jumps" in each["flags"]} == {"padll", "pfl"}


def test_tails(passports: dict[str, dict[str, Any]]) -> None:
    expected = {
        "dpo": ("linear", "flat"),
        "robust_dpo": ("linear", "linear"),
        "ipo": ("quadratic", "quadratic"),
        "ipo_avg": ("quadratic", "quadratic"),
        "exp": ("steep", "flat"),
        "kto_pair": ("flat", "flat"),
        "slic": ("linear", "flat"),
        "simpo": ("linear", "logarithmic"),
    }
    found = {name: tuple(passports[name]["tails"][side]["shape"] for side in ("wrong", "right")) for name in expected}
    assert found == expected


def test_a_slow_tail_is_told_from_a_straight_one() -> None:
    slow = of_margin(lambda rho, inputs: torch.log1p(F.softplus(-inputs["beta"] * rho) * 10))
    assert passport(slow)["tails"]["wrong"]["shape"] == "logarithmic"


def test_saturation_is_where_the_push_is_a_hundredth(passports: dict[str, dict[str, Any]]) -> None:
    assert passports["dpo"]["saturates"]["wrong"] is None
    assert 4.5 < passports["dpo"]["saturates"]["right"] < 6
    assert passports["slic"]["saturates"]["right"] == pytest.approx(1, abs=0.05)
    assert -14 < passports["apo_zero"]["saturates"]["wrong"] < -10


def test_only_rdpo_falls_without_end(passports: dict[str, dict[str, Any]]) -> None:
    assert {name for name, each in passports.items() if "unbounded_below" in each["flags"]} == {"robust_dpo"}


def test_what_overflows_in_bfloat16_is_flagged() -> None:
    # 2**8 is the last whole number before bfloat16 skips some: 300 - 299 is 0 there.
    loss = of_margin(lambda rho, inputs: F.softplus(-inputs["beta"] * rho) / ((300 + 0 * rho) - 299))
    assert passport(loss)["is_finite_in_bf16"] is False
    assert "not_finite_in_bf16" in passport(loss)["flags"]


def test_what_does_not_exist_in_bfloat16_is_told_apart() -> None:
    loss = of_margin(lambda rho, inputs: F.softplus(-inputs["beta"] * (rho - torch.quantile(rho, 0.5))))
    assert passport(loss)["is_finite_in_bf16"] is None


def test_the_scale_of_a_loss_changes_no_shape() -> None:
    tiny = of_margin(lambda rho, inputs: 1e-5 * F.softplus(-inputs["beta"] * rho))
    scaled, dpo = passport(tiny), passport("dpo")
    for name in ("is_convex", "is_monotone", "rises", "jumps", "saturates", "flags", "uses", "is_margin_only"):
        assert scaled[name] == dpo[name], name


@pytest.mark.parametrize(
    ("loss", "family", "uses", "is_coupled"),
    [
        (losses.modpo, Family.AUXILIARY, {"reference", "aux", "beta"}, False),
        (losses.cpo, Family.OUTCOME, {"behavior", "outcomes"}, False),
        (losses.self_normalised_cpo, Family.OUTCOME, {"behavior", "outcomes"}, True),
        (losses.oo_rlhf, Family.OUTCOME, {"reference", "predictions"}, False),
        (losses.policy_gradient, Family.MATCHING, {"reference", "rewards", "beta"}, False),
        (losses.within_groups, Family.MATCHING, {"rewards", "group"}, False),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_family_is_seen_through(loss: Loss, family: Family, uses: set[str], is_coupled: bool) -> None:
    measured = passport(loss, family)
    assert {name for name, is_used in measured["uses"].items() if is_used} == uses
    assert measured["is_batch_coupled"] is is_coupled
    assert measured["slope_at_zero"] < 0
    assert "rises_at_zero" not in measured["flags"]
    assert describe_passport(measured)


def test_the_curve_is_value_and_slope_around_zero() -> None:
    curve = shown_curve(measure_curve(known("dpo"), Family.PAIRWISE))
    assert len(curve["z"]) == len(curve["value"]) == len(curve["slope"])
    assert (curve["z"][0], curve["z"][-1]) == (-20.0, 20.0)
    expected = [(math.log1p(math.exp(-z)), -1 / (1 + math.exp(z))) for z in curve["z"] if z is not None]
    assert curve["value"] == pytest.approx([value for value, _ in expected], rel=1e-3, abs=1e-6)
    assert curve["slope"] == pytest.approx([slope for _, slope in expected], rel=1e-3, abs=1e-6)


def test_a_curve_shows_no_number_where_there_is_none() -> None:
    curve = shown_curve(measure_curve(of_margin(lambda rho, _: torch.log(rho)), Family.PAIRWISE))
    assert curve["value"][0] is None


def with_rates(formula: str) -> Loss:
    return eager(
        "def loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta,"
        " progress):\n    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps -"
        f" reference_rejected_logps)\n    z = beta * rho\n    return {formula}\n"
    )


@pytest.mark.parametrize(
    ("formula", "uses"),
    [
        ("(1 - progress) * F.softplus(-z)", {"reference", "beta", "progress"}),
        ("progress * F.softplus(-z)", {"reference", "beta", "progress"}),
        ("torch.clamp(progress / 0.1, max=1) * F.softplus(-rho)", {"reference", "progress"}),
        ("torch.clamp(progress, min=0.95) * F.softplus(-rho)", {"reference", "progress"}),
        ("F.softplus(-torch.clamp(beta, max=0.4) * rho)", {"reference", "beta"}),
        ("F.softplus(-torch.clamp(beta, min=1.5) * rho)", {"reference", "beta"}),
        ("torch.clamp(beta, max=0.02) * F.softplus(-rho)", {"reference", "beta"}),
        ("torch.where(progress < 0.55, 1.0, 2.0) * F.softplus(-rho)", {"reference", "progress"}),
        ("F.softplus(-policy_chosen_logps) + (progress > 0.9) * z", {"reference", "beta", "progress"}),
        ("F.softplus(-rho) + 0 * beta + 0 * progress", {"reference"}),
    ],
)  # fmt: skip
def test_what_is_used_at_one_beta_or_time_only_is_used(formula: str, uses: set[str]) -> None:
    assert {name for name, is_used in passport(with_rates(formula))["uses"].items() if is_used} == uses


@pytest.mark.parametrize(
    "formula",
    [
        "F.softplus(-z) * torch.sigmoid(-z.mean().detach())",
        "F.softplus(-z) * (z.mean().detach() < 1.0).float()",
        "F.softplus(-z) * (z.detach().mean() > -1.0).float()",
        "F.softplus(-(z - z.mean().detach()))",
        "F.softplus(-z) * (1 + (progress > 0.3) * z.median().detach().tanh())",
    ],
)
def test_a_gate_on_the_batch_couples_its_rows(formula: str) -> None:
    assert passport(with_rates(formula))["is_batch_coupled"]
    assert not passport(with_rates(formula.replace("z.mean()", "z").replace("z.detach().mean()", "z")
                                   .replace("z.median()", "z")))["is_batch_coupled"]  # fmt: skip


@pytest.mark.parametrize("bound", [3.0, 6.0, 10.0, 15.0])
@pytest.mark.parametrize(
    ("formula", "is_convex"),
    [
        ("torch.relu({0} - z)", True),
        ("(z - {0}).abs()", True),
        ("torch.relu(z + {0}) - z", True),
        ("torch.exp(-z.clamp(min=-{0} / 5))", False),
        ("-z.clamp(-{0}, {0})", False),
        ("torch.where(z > {0}, {0} - z, 2 * ({0} - z))", True),
    ],
)
def test_a_kink_is_no_jump(formula: str, is_convex: bool, bound: float) -> None:
    measured = passport(with_rates(formula.format(bound)))
    assert measured["jumps"] == []
    assert measured["is_convex"] is is_convex


@pytest.mark.parametrize("place", [-12.0, -3.0, 0.0, 0.4, 6.0, 14.0])
def test_a_jump_is_found_wherever_it_is(place: float) -> None:
    measured = passport(with_rates(f"F.softplus(-z) + (z > {place}) * 2.0"))
    assert measured["jumps"] == [[pytest.approx(place, abs=0.4), pytest.approx(2, abs=0.4)]]


@pytest.mark.parametrize(
    ("formula", "progress"),
    [("progress * F.softplus(-z)", 0.5), ("F.softplus(-z * progress)", 0.5), ("(1 - progress) * F.softplus(-z)", 0.0)],
)
def test_the_curve_is_that_of_a_time_at_which_the_margin_counts(formula: str, progress: float) -> None:
    measured = passport(with_rates(formula))
    assert (measured["curve_progress"], measured["is_flat"]) == (progress, False)
    assert measured["slope_at_zero"] < -0.2
    assert measured["tails"]["wrong"]["shape"] == "linear"


@pytest.mark.parametrize(
    ("loss", "family"),
    [
        (lambda inputs: -inputs["policy_logps"], Family.OUTCOME),
        (lambda inputs: -(inputs["policy_chosen_logps"] + inputs["policy_rejected_logps"]), Family.PAIRWISE),
    ],
    ids=["outcome", "pairwise"],
)
def test_where_the_margin_does_nothing_no_shape_is_told(loss: Loss, family: Family) -> None:
    measured = passport(loss, family)
    assert measured["is_flat"]
    assert measured["flags"] == []
    told = describe_passport(measured)
    assert "The margin between better and worse answers does nothing by itself." in told
    assert not any("z =" in each for each in told)


def test_what_lives_far_from_zero_only_has_a_shape_too() -> None:
    measured = passport(with_rates("torch.relu(-z - 10)"))
    assert not measured["is_flat"]
    assert measured["tails"]["wrong"]["shape"] == "linear"
    assert measured["jumps"] == []


@pytest.mark.parametrize(
    ("formula", "start"), [("F.softplus(-z) + 0.004 * z", 5.5), ("F.softplus(-z) + 0.01 * z", 4.6)]
)
def test_a_slow_rise_without_end_is_one(formula: str, start: float) -> None:
    measured = passport(with_rates(formula))
    assert measured["rises"] == [[pytest.approx(start, abs=0.1), None]]
    assert not measured["is_monotone"]
    assert measured["tails"]["right"]["shape"] == "linear"


def test_who_rises_at_its_end_is_not_monotone(passports: dict[str, dict[str, Any]]) -> None:
    for name, each in passports.items():
        for side, sign in (("wrong", -1), ("right", 1)):
            tail = each["tails"][side]
            if tail["shape"] not in ("flat", "not finite") and tail["slope"] > 0:
                assert not each["is_monotone"], name
                assert any(stretch[(sign + 1) // 2] is None for stretch in each["rises"]), name
