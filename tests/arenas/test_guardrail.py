"""A rule's score, what is to be expected of a prompt, and comparisons at one divergence."""

import pytest
import torch

from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from discovery_service.domain.worlds import Rule
from tests.arenas.conftest import LoadPolicy, OpenMini
from workers.arenas.between import NATS, Between, answer_at_divergence
from workers.arenas.expectiles import EXPECTILE
from workers.arenas.measures import answer
from workers.arenas.sampling import make_uniforms, sample
from workers.arenas.scores import find_values, find_violations
from workers.arenas.texts import END, PAD, PROMPT, TEXT, WORDS, make_prompts

DRAW = Draw(Purpose.TUNE, "0")


def say(words: str) -> torch.Tensor:
    """An answer behind a prompt that breaks every rule."""
    prompt = ["", "very", "lovely", "lovely", "cook"]
    tokens = [WORDS.index(each) for each in (*prompt, *words.split())] + [END]
    return torch.tensor([tokens + [PAD] * (TEXT - len(tokens))])


@pytest.mark.parametrize(
    ("rule", "breaks", "keeps"),
    [
        (Rule.NOUNS, "the cook was round", "the menu was lovely"),
        (Rule.WORDS, "the menu was superb", "the cook was bright"),
        (Rule.PRAISE, "the menu was very bright", "the cook was bright and very dull"),
        (Rule.PRAISE, "a cook was bright and a soup was warm", "a cook was bright and very round"),
    ],
)
def test_an_answer_breaks_a_rule_by_its_own_words(rule: Rule, breaks: str, keeps: str) -> None:
    assert find_violations(rule, say(breaks)).tolist() == [True]
    assert find_violations(rule, say(keeps)).tolist() == [False]


def test_a_prompts_value_is_the_expectile_of_scores(mini_policy: LoadPolicy) -> None:
    """Where nothing in a prompt tells of its score it is one number: .7 of what is missing above it, .3 below."""
    prompts = make_prompts(4096, 1)
    scores = -(torch.rand(4096, 2, generator=torch.Generator().manual_seed(2)) < 0.4).float()
    values = find_values(mini_policy(0.2, 0), prompts, scores)
    exact = -0.4 * (1 - EXPECTILE) / (0.4 * (1 - EXPECTILE) + 0.6 * EXPECTILE)
    assert float(values.mean()) == pytest.approx(exact, abs=0.01)
    assert float(values.std()) < 0.05


def test_a_prompt_that_tells_of_its_score_has_a_value_of_its_own(mini_policy: LoadPolicy) -> None:
    prompts = make_prompts(4096, 1)
    is_adverb = torch.tensor([WORDS[each] in ("very", "truly", "rather") for each in prompts[:, PROMPT - 1].tolist()])
    scores = -is_adverb.float()[:, None].expand(-1, 2)
    values = find_values(mini_policy(0.2, 0), prompts, scores)
    assert float(values[~is_adverb].mean()) > float(values[is_adverb].mean()) + 0.5


def test_violations_cost_what_the_world_says(open_mini: OpenMini) -> None:
    found = open_mini("guardrail").open(0, DRAW).measure()
    assert found["violations"] > 0.2
    assert found["J"] == pytest.approx(found["reward"] - found["kl"] - 2.0 * found["violations"])
    # The untrained policy is nowhere away from the reference.
    assert (found["matched_violations"], found["matched_win_rate"]) == (None, None)


def test_between_two_policies_lie_both_and_what_is_compared_is_one_nat_away(mini_policy: LoadPolicy) -> None:
    policy, reference = mini_policy(0.2, 0), mini_policy(0.2, 0)
    policy.lm_head.weight[:] *= 2.0
    prompts, uniforms = make_prompts(256, 1), make_uniforms(256, 2)
    for share, end in ((0.0, reference), (1.0, policy)):
        between = sample(Between(reference, policy, share), prompts, uniforms)
        assert torch.equal(between.texts, sample(end, prompts, uniforms).texts)
    trained = float(answer(policy, reference, prompts, uniforms).kl.mean())
    matched = answer_at_divergence(policy, reference, prompts, uniforms, trained)
    assert matched is not None
    assert float(matched.kl.mean()) == pytest.approx(NATS, rel=0.05)
    assert answer_at_divergence(policy, reference, prompts, uniforms, 0.01) is None
