import pytest

from discovery_service.domain.families import Family
from discovery_service.losses.described import list_described
from discovery_service.losses.passport import describe_oddities, describe_passport
from tests.jail.probes import losses
from tests.losses.eager import KNOWN, known, of_margin
from workers.jail.examine import examine_loss
from workers.jail.probes import Loss


def sentences(loss: Loss | str, family: Family = Family.PAIRWISE) -> list[str]:
    measured = known(loss) if isinstance(loss, str) else loss
    return describe_passport(examine_loss(measured, family).passport)


def test_dpo_in_sentences() -> None:
    assert sentences("dpo") == [
        "Beside the policy it looks at the reference.",
        "Beta only sets the scale of the log-ratios.",
        "Of a pair it sees the margin alone.",
        "At z = 0 it is 0.693 and falls, with slope -0.5.",
        "It never rises with the margin and is convex.",
        "For pairs that are ever more wrongly ordered it rises linearly.",
        "For pairs that are ever better ordered it levels off, and beyond z = 5.31 hardly pushes.",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lrml", "At z = 0 it is 0.847 and rises, with slope +0.784: training first lowers the margin."),
        ("lrml", "It rises for z in (-0.1186, 0.0720)."),
        ("ipo", "It rises from z = 0.5000 on."),
        ("padll", "It jumps up by 0.31 at z = 0."),
        ("pfl", "It jumps down by 1.66 at z = 0."),
        ("simpo", "It needs no reference."),
        ("simpo", "Beside the policy it looks at the answers' lengths."),
        ("ipo_avg", "Beside the policy it looks at the reference and the answers' lengths."),
        ("sign", "Beta changes nothing."),
        ("exp", "For pairs that are ever more wrongly ordered it rises faster than a square."),
        ("robust_dpo", "For pairs that are ever better ordered it falls linearly."),
        ("aqfl", "A row's loss depends on the rest of its batch; the curve is that of a batch with all margins."),
    ],
)
def test_what_is_particular_is_said(name: str, expected: str) -> None:
    assert expected in sentences(name)


def test_where_nothing_can_be_said_of_zero() -> None:
    assert "At z = 0 it is not finite." in sentences(of_margin(lambda rho, _: rho.abs().log()))


def test_a_curve_that_another_beta_changes_says_whose_it_is() -> None:
    told = sentences(of_margin(lambda rho, inputs: -(inputs["beta"] * rho).sigmoid().log() * (1 + rho.sigmoid())))
    assert "Its curve changes with beta; what follows is that of beta 0.5 alone." in told
    assert not any("changes with beta" in each for each in sentences("dpo"))


def test_a_loss_of_the_policy_alone() -> None:
    told = sentences(lambda inputs: -inputs["policy_logps"], Family.OUTCOME)
    assert told[:3] == ["It looks at nothing but the policy.", "It needs no reference.", "Beta changes nothing."]


@pytest.mark.parametrize("name", KNOWN)
def test_every_sentence_is_one(name: str) -> None:
    assert all(each[0].isupper() and each.endswith(".") and "{" not in each for each in sentences(name))


def test_the_scores_of_other_families_are_named() -> None:
    assert "the auxiliary scores" in sentences(losses.modpo, Family.AUXILIARY)[0]
    assert "the rewards" in sentences(losses.within_groups, Family.MATCHING)[0]


def test_what_is_odd_about_a_loss_is_said_in_the_same_words() -> None:
    for name in KNOWN:
        passport = examine_loss(known(name), Family.PAIRWISE).passport
        odd = describe_oddities(passport)
        assert bool(odd) == bool(passport["flags"])
        assert set(odd) <= set(describe_passport(passport))
    lrml = describe_oddities(examine_loss(known("lrml"), Family.PAIRWISE).passport)
    assert lrml == [
        "At z = 0 it is 0.847 and rises, with slope +0.784: training first lowers the margin.",
        "It rises for z in (-0.1186, 0.0720).",
    ]


def test_a_loss_of_no_pairs_has_no_curve_to_be_odd() -> None:
    passport = list_described(Family.OUTCOME)["cpo"].passport
    assert set(passport["flags"]) == {"hump", "jumps"}
    assert describe_oddities(passport) == []
    told = describe_passport(passport)
    assert told[1:-1] == ["A row's loss depends on the rest of its batch."]
