from collections import Counter

from discovery_service.domain.allotment import Allotted, allot
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec

SPEC = {
    "arena": "terse",
    "proposers": [
        {
            "kind": "llm",
            "share": 3.0,
            "models": [{"model": "large", "weight": 1.0}, {"model": "small", "weight": 2.0}],
        },
        {"kind": "symbolic", "share": 1.0},
    ],
}


def allot_round(spec: CampaignSpec, round_index: int) -> list[Allotted]:
    return [allot(spec, round_index, slot) for slot in range(spec.strategy.round_size)]


def test_each_round_of_four_has_one_of_a_quarter_and_models_come_by_weight():
    spec = CampaignSpec.model_validate(SPEC)
    rounds = [allot_round(spec, index) for index in range(1, 9)]
    assert all(Counter(each.author for each in one) == {Author.LLM: 3, Author.SYMBOLIC: 1} for one in rounds)
    models = Counter(each.model for one in rounds for each in one)
    assert models == {"large": 8, "small": 16, None: 8}


def test_shares_that_do_not_fit_a_round_are_made_up_for_in_the_next_ones():
    proposers = [{"kind": "recorded", "share": 1.0}, {"kind": "symbolic", "share": 2.0}]
    spec = CampaignSpec.model_validate(SPEC | {"proposers": proposers})
    counts: Counter[Author] = Counter()
    for index in range(1, 7):
        counts.update(each.author for each in allot_round(spec, index))
        assert abs(counts[Author.RECORDED] - 4 * index / 3) < 1


def test_another_seed_gives_other_slots_to_the_same_proposers():
    plans = {
        tuple(allot(CampaignSpec.model_validate(SPEC | {"seed": seed}), 1, slot).author for slot in range(4))
        for seed in range(20)
    }
    assert len(plans) > 1
