"""What is measured of a policy means what it says."""

import pytest
import torch

from tests.arenas.conftest import LoadPolicy
from workers.arenas import measures
from workers.arenas.measures import answer, find_diversity, measure_answers, measure_pairs
from workers.arenas.pairs import find_log_probabilities
from workers.arenas.proxy import count_words, fit_reward
from workers.arenas.sampling import make_uniforms
from workers.arenas.texts import BEGIN, END, PAD, PROMPT, RANGES, TEXT, is_answer, make_prompts, make_texts, score

COUNT = 1024


def test_the_divergence_is_that_of_the_log_probabilities_along_the_samples(mini_policy: LoadPolicy) -> None:
    """Its mean over many texts is the mean log-ratio of the sampled tokens, which is far noisier."""
    policy, reference = mini_policy(0.2, 0), mini_policy(0.2, 0)
    policy.lm_head.weight[:] *= 1.3
    found = answer(policy, reference, make_prompts(COUNT, 1), make_uniforms(COUNT, 2))
    with torch.no_grad():
        logits = [model(input_ids=found.texts[:, :-1]).logits[:, PROMPT - 1 :] for model in (policy, reference)]
    own, given = (each.log_softmax(-1) for each in logits)
    ratio = (own - given).gather(-1, found.texts[:, PROMPT:, None])[..., 0]
    sampled = (ratio * is_answer(found.texts)[:, PROMPT:]).sum(1)
    error = float((sampled - found.kl).std()) / COUNT**0.5
    assert float(found.kl.mean()) == pytest.approx(float(sampled.mean()), abs=4 * error)
    assert bool((found.kl > 0).all())
    assert found.objective == pytest.approx(float((found.rewards - found.kl).double().mean()))


def test_the_reference_itself_ties_with_itself_at_no_divergence(mini_policy: LoadPolicy) -> None:
    reference = mini_policy(0.0, 1)
    found = answer(reference, reference, make_prompts(COUNT, 1), make_uniforms(COUNT, 2))
    measured = measure_answers(found, score(found.texts))
    assert measured["win_rate"] == 0.5
    assert measured["kl"] == pytest.approx(0.0, abs=1e-5)
    assert measured["J"] == pytest.approx(measured["reward"], abs=1e-5)


def test_a_length_counts_the_tokens_of_an_answer_with_its_end(mini_policy: LoadPolicy) -> None:
    reference = mini_policy(0.2, 0)
    found = answer(reference, reference, make_prompts(COUNT, 1), make_uniforms(COUNT, 2))
    ends = [[*text[PROMPT:].tolist(), END].index(END) + 1 for text in found.texts]
    lengths = [min(each, TEXT - PROMPT) for each in ends]
    assert measure_answers(found, score(found.texts))["length"] == pytest.approx(sum(lengths) / COUNT)


def _repeat(*tokens: int) -> torch.Tensor:
    answer = list(tokens) + [PAD] * (TEXT - PROMPT - len(tokens))
    return torch.tensor([[BEGIN, 3, 7, 23, 35, *answer]] * 16)


def test_diversity_counts_pairs_of_words_that_are_not_there_twice() -> None:
    assert find_diversity(_repeat(40, 41, END)) == pytest.approx(3 / 48)
    assert find_diversity(make_texts(COUNT, 1, p_stop=0.2)) > 0.7


def test_accuracy_and_disagreement_are_of_the_gain_over_the_reference(mini_policy: LoadPolicy) -> None:
    """Where the policy gained more on the chosen answer it agrees with the label; ties count half."""
    policy, texts = mini_policy(0.0, 0), make_texts(8, 1, p_stop=0.0).view(4, 2, TEXT)
    gains = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0], [3.0, -1.0]])
    draw = {
        "held_out_texts": texts,
        "held_out_reference": find_log_probabilities(policy, texts.flatten(0, 1)).view(-1, 2) - gains,
        # Of all annotators together for the chosen one: the second row's label is one that most would not have given,
        # and of the last they think nothing together, so that nobody can disagree with them.
        "held_out_preference": torch.tensor([0.7, 0.3, 0.6, 0.5]),
    }
    found = measure_pairs(policy, draw, do_annotators_differ=True, is_crowd=False)
    assert found == {"accuracy": pytest.approx(2.5 / 4), "disagreement": pytest.approx(0.5 / 3)}
    assert measure_pairs(policy, draw, do_annotators_differ=False, is_crowd=False).keys() == {"accuracy"}
    draw["held_out_preference"] = torch.full((4,), 0.5)
    assert measure_pairs(policy, draw, do_annotators_differ=True, is_crowd=False)["disagreement"] is None


@pytest.mark.parametrize(("gains", "degrees"), [((1.0, 2.0), 0.0), ((-2.0, -4.0), 180.0), ((2.0, -1.0), 90.0)])
def test_the_angle_is_between_margins_of_the_policy_and_the_mean_tastes(
    gains: tuple[float, float], degrees: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = torch.tensor([gains[0], 0.0, gains[1], 0.0])
    monkeypatch.setattr(measures, "find_log_probabilities", lambda *_: told)
    draw = {
        "held_out_texts": torch.zeros(2, 2, TEXT),
        "held_out_reference": torch.zeros(2, 2),
        "held_out_preference": torch.tensor([1.0, 2.0]).sigmoid(),
    }
    found = measure_pairs(None, draw, do_annotators_differ=False, is_crowd=True)
    assert found["angle"] == pytest.approx(degrees, abs=0.05)
    monkeypatch.setattr(measures, "find_log_probabilities", lambda *_: torch.zeros(4))
    assert measure_pairs(None, draw, do_annotators_differ=False, is_crowd=True)["angle"] is None


def test_the_fitted_reward_finds_what_words_are_worth_and_cannot_see_what_doubles_them() -> None:
    texts = make_texts(2 * 4096, 1, p_stop=0.0).view(-1, 2, TEXT)
    gaps = score(texts[:, 0]) - score(texts[:, 1])
    is_first = torch.rand(len(gaps), generator=torch.Generator().manual_seed(2)) < gaps.sigmoid()
    worth = fit_reward(torch.where(is_first[:, None, None], texts, texts.flip(1)))
    means = {kind: float(worth[slice(*RANGES[kind])].mean()) for kind in RANGES}
    assert means["pos"] > 1.0
    assert means["neg"] < -1.0
    assert all(abs(means[kind]) < 0.3 for kind in ("det", "noun", "verb", "conj", "adv"))


def test_words_are_counted_in_the_answer_alone() -> None:
    counts = count_words(_repeat(40, 41, 40, END))
    assert counts[0, [40, 41, END, 3, 35]].tolist() == [2, 1, 1, 0, 0]
