"""What is said of a comparison is what was found, and no number stands without its interval."""

import pytest

from tests.compare.answers import BETTER, SAME, WORSE, answer, at_two, failed, loss, tuned_twice
from workers.compare.sentences import tabulate, tell_claim, tell_losses, tell_verdict


def of(told: dict) -> str:  # type: ignore[type-arg]
    return tell_verdict(told, answer(told))


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (loss("mine", 0.43, BETTER), "better than dpo: +0.430 [+0.330, +0.530]"),
        (loss("mine", -0.43, WORSE), "worse than dpo: -0.430 [-0.530, -0.330]"),
        (
            loss("mine", -0.01, SAME),
            "not distinguishable from dpo: -0.010 [-0.110, +0.090]; as many draws that vary like these find a"
            " difference of 0.110 with 80 % power",
        ),
        (
            loss("mine", 0.2, SAME, effects={"0": 0.4, "1": 0.21, "2": -0.01}),
            "not distinguishable from dpo: +0.200 [+0.100, +0.300] over all, but not better under base policy 2",
        ),
        (
            loss("mine", 0.0, SAME, sd=0.0, detectable=None),
            "not distinguishable from dpo: in this arena they are the same, up to rounding",
        ),
        (
            loss("mine", 0.0, SAME, sd=0.0, detectable=None, same_as="dpo"),
            "not distinguishable from dpo: they are one loss, their graphs are equal",
        ),
        (failed("mine"), "failed on 1 of 12 draws, the first time diverged at step 7: The loss grew"),
        (loss("dpo", role="reference"), "what the others are compared with"),
        (tuned_twice(), "what the others are compared with, at β 0.5 and at β 2"),
        (
            tuned_twice(failed=3),
            "failed on 3 of 12 draws at β 2, the first time diverged at step 7: The loss grew; nothing is compared with"
            " it",
        ),
        (
            tuned_twice(failed=3) | {"failed": 1},
            "failed on 1 of 12 draws at β 0.5 and on 3 of 12 draws at β 2, the first time diverged at step 7: The loss"
            " grew; nothing is compared with it",
        ),
        (
            at_two(loss("mine", 0.43, BETTER)),
            "better than dpo: +0.430 [+0.330, +0.530] (at β 2, the harder of its two settings)",
        ),
        (
            at_two(loss("mine", 0.01, SAME)),
            "not distinguishable from dpo: +0.010 [-0.090, +0.110] (at β 2, the harder of its two settings); as many"
            " draws that vary like these find a difference of 0.110 with 80 % power",
        ),
        (
            at_two(loss("mine", 0.2, SAME), effects={"0": 2.0, "1": -0.01, "2": 2.0}, verdict=SAME),
            "not distinguishable from dpo: +0.200 [+0.100, +0.300] (at β 2, the harder of its two settings) over all,"
            " but not better under base policy 1 at β 0.5",
        ),
    ],
)
def test_each_verdict_in_a_sentence(told: dict, says: str) -> None:  # type: ignore[type-arg]
    assert of(told) == says


def test_the_claim_names_what_it_covers() -> None:
    several = tell_claim(answer(*(loss(str(n), 0.0, SAME) for n in range(5))))
    assert several == (
        "This holds for the base policies 0, 1 and 2 of terse:mini and says nothing of others. 5 losses were compared"
        " with dpo, each in an interval of 99 %, so that all of them hold together with 95 %. The draws on which"
        " settings were tuned are none of those on which losses were compared."
    )
    alone = tell_claim(answer(loss("mine", 0.0, SAME), base_policies=[0], level=0.95, arena="support"))
    assert alone.startswith("This holds for the base policy 0 of support and says nothing of others. One loss was")
    assert "in an interval of 95 %." in alone
    two = answer(loss("mine", 0.0, SAME))
    two["losses"][0] = tuned_twice()
    assert " Better means better than dpo at both settings between which its tuning chose. The draws" in tell_claim(two)


@pytest.mark.parametrize(
    ("reference", "where"),
    [
        (failed("dpo"), "on 1 of 12 draws"),
        (tuned_twice(failed=1), "on 1 of 12 draws at β 2"),
        (loss("dpo", status="untuned", setting=None), "while it was tuned"),
    ],
)
def test_where_the_reference_failed_the_claim_is_that_nothing_is_concluded(
    reference: dict,  # type: ignore[type-arg]
    where: str,
) -> None:
    told = answer(loss("mine"))
    told["losses"][0] = reference | {"role": "reference"}
    assert tell_claim(told).startswith(f"Nothing is concluded: dpo failed {where}. Better means")


def test_the_table_has_the_reference_and_every_mean_with_its_interval() -> None:
    columns, rows = tabulate(answer(loss("mine", 0.43, BETTER), failed("bad")))
    assert columns == [
        *("loss", "beta", "learning rate", "steps", "J (95 %)", "attained (95 %)", "reward (95 %)", "kl (95 %)"),
        *("J less dpo's (99 %)", "verdict"),
    ]
    assert rows[0][-2:] == ["", "reference"]
    assert rows[1][:5] == ["mine", "0.5", "0.0005", "120", "1.200 [1.100, 1.300]"]
    assert rows[1][-2:] == ["+0.430 [+0.330, +0.530]", "better than"]
    assert rows[2][4:] == ["", "", "", "", "", "failed"]


def test_the_table_has_the_reference_at_each_of_its_settings() -> None:
    told = answer(loss("mine", 0.43, BETTER))
    told["losses"][0] = tuned_twice()
    rows = tabulate(told)[1]
    assert [(row[0], row[1], row[4], row[-1]) for row in rows] == [
        ("dpo", "0.5", "1.200 [1.100, 1.300]", "reference"),
        ("dpo", "2", "1.200 [1.100, 1.300]", "reference"),
        ("mine", "0.5", "1.200 [1.100, 1.300]", "better than"),
    ]
    told["losses"][0] = tuned_twice(failed=1, metrics={})
    chosen, other, _ = tabulate(told)[1]
    assert (chosen[1], chosen[-1]) == ("0.5", "reference")
    assert (other[0], other[1], other[4], other[-1]) == ("dpo", "2", "", "failed")


def test_what_is_odd_about_a_loss_stands_below_its_verdict() -> None:
    odd = loss("lrml", -0.3, WORSE, warnings=["It rises for z in (-0.1186, 0.0720)."], sentence="worse than dpo")
    twin = loss("copy", -0.3, WORSE, same_as="lrml", sentence="worse than dpo")
    told = answer(odd, twin)
    told["losses"][0]["sentence"] = "what the others are compared with"
    assert list(tell_losses(told)) == [
        "dpo: what the others are compared with.",
        "lrml: worse than dpo.",
        "  It rises for z in (-0.1186, 0.0720).",
        "copy: worse than dpo.",
        "  It is the same loss as lrml: their graphs are equal.",
    ]
