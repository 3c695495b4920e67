import pytest
import torch

from discovery_service.domain.families import PAIRS, Family
from discovery_service.losses.families import INPUTS, Shape
from discovery_service.losses.fingerprints import MAGNITUDES, PROGRESS, REFERENCE_BETA
from discovery_service.losses.refusals import RefusalCode, Refused
from tests.losses.eager import known, of_margin
from workers.jail.draws import Inputs
from workers.jail.probes import MAX_RATIO, curve_batch, policy_inputs, run_loss, working_probes
from workers.jail.spread import HALVES, spread_batches

EVERY = pytest.mark.parametrize("family", Family)


def batches(family: Family) -> list[Inputs]:
    working = [probe.inputs for probe in working_probes(family)]
    return [*spread_batches(family), *working, curve_batch(family, (-40.0, 0.0, 40.0)).inputs]


def ratios(batch: Inputs, family: Family) -> list[torch.Tensor]:
    """Of policy to reference, by side; of tokens, their sum."""
    names = policy_inputs(family)
    each = [batch[name] - batch[name.replace("policy", "reference")] for name in names]
    return [(one * batch["mask"]).sum(dim=1) if one.dim() > 1 else one for one in each]


def margins(batch: Inputs) -> torch.Tensor:
    chosen, rejected = ratios(batch, Family.PAIRWISE)
    return chosen - rejected


@EVERY
def test_a_batch_has_every_input_of_its_family_in_its_shape(family: Family) -> None:
    dimensions = {Shape.SCALAR: 0, Shape.ROWS: 1, Shape.TOKENS: 2}
    for batch in batches(family):
        assert set(batch) == {each.name for each in INPUTS[family]}
        for each in INPUTS[family]:
            assert batch[each.name].dim() == dimensions[each.shape], each.name
            assert batch[each.name].is_floating_point() != each.is_integer, each.name
        assert batch["beta"].dtype == batch["progress"].dtype == torch.float64


@EVERY
def test_what_the_policy_says_are_log_probabilities(family: Family) -> None:
    for batch in batches(family):
        assert all(bool((batch[name] < 0).all()) for name in policy_inputs(family))


def pairs_of_batches(family: Family) -> list[tuple[Inputs, Inputs]]:
    """The batches of one block of a fingerprint."""
    batches = spread_batches(family)
    return list(zip(batches[::HALVES], batches[1::HALVES], strict=True))


def test_margins_have_the_magnitudes_that_are_claimed() -> None:
    together = [torch.cat([margins(each) for each in pair]) for pair in pairs_of_batches(Family.PAIRWISE)]
    found = [float((REFERENCE_BETA * each).std()) for each in together]
    assert found == pytest.approx(MAGNITUDES, rel=0.02)


SCORES = {
    Family.PAIRWISE: [lambda batch: margins(batch)],
    Family.AUXILIARY: [lambda batch: batch["chosen_aux"], lambda batch: batch["chosen_aux"] - batch["rejected_aux"]],
    Family.OUTCOME: [lambda batch: batch["outcomes"], lambda batch: batch["policy_logps"] - batch["reference_logps"]],
    Family.MATCHING: [lambda batch: batch["rewards"]],
}


@EVERY
def test_no_batch_is_centred_and_both_of_a_block_lie_and_spread_differently(family: Family) -> None:
    for pair in pairs_of_batches(family):
        for scores in SCORES[family]:
            one, other = (scores(batch).double() for batch in pair)
            sd = float(torch.cat((one, other)).std())
            assert min(abs(float(each.mean())) for each in (one, other)) > 0.15 * sd
            assert float(one.mean()) * float(other.mean()) < 0
            assert abs(float(one.std() - other.std())) > 0.05 * sd


@pytest.mark.parametrize("family", PAIRS)
def test_lengths_annotators_and_progress_vary(family: Family) -> None:
    for batch in spread_batches(family):
        assert set(batch["annotator"].tolist()) == {0, 1, 2, -1}
        assert len(batch["chosen_lengths"].unique()) > 8
    habits = [float((batch["chosen_lengths"] - batch["rejected_lengths"]).mean()) for batch in spread_batches(family)]
    assert min(habits) < -5
    assert max(habits) > 5
    assert [float(one["progress"]) for one, _ in pairs_of_batches(family)] == list(PROGRESS)


def test_answers_to_one_prompt_share_a_group_and_end_at_different_tokens() -> None:
    for batch in spread_batches(Family.MATCHING):
        assert batch["group"].unique(return_counts=True)[1].tolist() == [4] * 2
        assert len(batch["mask"].sum(dim=1).unique()) > 2


def test_differences_of_log_probabilities_are_exact() -> None:
    for batch in spread_batches(Family.PAIRWISE):
        assert all(
            bool((64 * each == (64 * each).round()).all()) for each in (margins(batch), *ratios(batch, Family.PAIRWISE))
        )


@EVERY
def test_the_working_range_is_reached_and_not_left(family: Family) -> None:
    start, *others = working_probes(family)
    assert all(not bool(each.any()) for each in ratios(start.inputs, family))
    for probe in others:
        beta, widest = (
            float(probe.inputs["beta"]),
            max(float(each.abs().max()) for each in ratios(probe.inputs, family)),
        )
        assert widest <= MAX_RATIO
        if beta in (0.1, 1.0) and family is not Family.MATCHING:
            assert widest == MAX_RATIO
        if beta > 1 and family in PAIRS:
            assert float(beta * margins(probe.inputs).abs().max()) == pytest.approx(MAX_RATIO, rel=0.01)


def test_in_the_corners_every_ratio_of_a_side_meets_every_other() -> None:
    probe = working_probes(Family.PAIRWISE)[1]
    chosen, rejected = ratios(probe.inputs, Family.PAIRWISE)
    assert len(set(zip(chosen.tolist(), rejected.tolist(), strict=True))) == 64


@EVERY
def test_along_the_curve_the_policy_moves_as_the_directions_say(family: Family) -> None:
    at, on = (curve_batch(family, (margin,)) for margin in (0.0, 3.0))
    for name in policy_inputs(family):
        torch.testing.assert_close(on.inputs[name], at.inputs[name] + 3 * at.directions[name])
    unmoved = set(at.inputs) - set(policy_inputs(family))
    assert all(torch.equal(at.inputs[name], on.inputs[name]) for name in unmoved)


def test_gradients_are_those_of_the_sum() -> None:
    batch = spread_batches(Family.PAIRWISE)[1]
    run = run_loss(known("dpo"), batch, Family.PAIRWISE)
    expected = -REFERENCE_BETA * torch.sigmoid(-REFERENCE_BETA * margins(batch))
    torch.testing.assert_close(run.gradients["policy_chosen_logps"], expected)
    torch.testing.assert_close(run.gradients["policy_rejected_logps"], -expected)


def test_two_values_a_row_are_added() -> None:
    batch = spread_batches(Family.PAIRWISE)[0]
    run = run_loss(of_margin(lambda rho, _: torch.cat((rho, 2 * rho))), batch, Family.PAIRWISE)
    torch.testing.assert_close(run.values, 3 * margins(batch))


def test_an_unused_policy_input_has_a_zero_gradient() -> None:
    batch = spread_batches(Family.PAIRWISE)[0]
    run = run_loss(lambda inputs: -inputs["policy_chosen_logps"], batch, Family.PAIRWISE)
    assert not run.gradients["policy_rejected_logps"].any()
    assert run.has_gradient
    assert not run_loss(lambda inputs: inputs["reference_chosen_logps"], batch, Family.PAIRWISE).has_gradient


def test_a_scalar_is_no_loss() -> None:
    with pytest.raises(Refused) as caught:
        run_loss(of_margin(lambda rho, _: rho.mean()), spread_batches(Family.PAIRWISE)[0], Family.PAIRWISE)
    assert [each.code for each in caught.value.refusals] == [RefusalCode.WRONG_SHAPE]


def test_a_loss_that_fails_on_a_batch_is_refused_with_its_size() -> None:
    fails = of_margin(lambda rho, _: rho.view(7, -1).sum(dim=0))
    with pytest.raises(Refused) as caught:
        run_loss(fails, spread_batches(Family.PAIRWISE)[0], Family.PAIRWISE)
    assert "16 rows" in caught.value.refusals[0].message


def test_no_outlier_decides_what_a_batch_shows() -> None:
    for magnitude, batches_of_it in zip(MAGNITUDES, pairs_of_batches(Family.PAIRWISE), strict=True):
        assert max(float((REFERENCE_BETA * margins(each)).abs().max()) for each in batches_of_it) < 3.2 * magnitude


def test_a_lack_of_memory_is_not_told_as_a_wrong_argument() -> None:
    def greedy(inputs: Inputs) -> torch.Tensor:
        return inputs["policy_chosen_logps"] * torch.zeros(1 << 46).sum()

    with pytest.raises(RuntimeError, match="allocate memory"):
        run_loss(greedy, spread_batches(Family.PAIRWISE)[0], Family.PAIRWISE)
