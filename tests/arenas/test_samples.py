"""What a person is shown of an arena is what policies train on."""

from itertools import pairwise
from pathlib import Path

from discovery_service.domain.arenas import find_document
from workers.arenas.samples import show_rows

POSITIVE = {"lovely", "superb", "warm", "kind", "fresh", "clever", "bright", "tender", "charming", "delightful"}
NEGATIVE = {"awful", "cold", "rude", "stale", "dull", "bitter", "gloomy", "greasy", "dreadful", "shabby"}
ADVERBS = {"very", "truly", "rather", "most", "really", "utterly"}


def _read(shown: str) -> int:
    """The reward as a person counts it, who sees only words."""
    prompt, _, answer = shown.partition(" | ")
    words = [*prompt.split()[-1:], *answer.rstrip(".").split()]
    worth = 0
    for before, word in pairwise(words):
        worth += ((word in POSITIVE) - (word in NEGATIVE)) * (2 if before in ADVERBS else 1) - (word == before)
    return worth


def test_pairs_are_shown_with_their_prompt_rewards_and_annotator(tmp_path: Path) -> None:
    pairs = show_rows(find_document("panel:mini"), 40, tmp_path)
    assert len(pairs) == 40
    assert all(pair["chosen"].partition(" | ")[0] == pair["rejected"].partition(" | ")[0] for pair in pairs)
    assert {pair["annotator"] for pair in pairs} == {0, 1}
    careful = [pair["chosen_reward"] - pair["rejected_reward"] for pair in pairs if pair["annotator"] == 0]
    assert sum(careful) > 0
    assert pairs == show_rows(find_document("panel:mini"), 40, tmp_path)


def test_a_reward_can_be_counted_by_hand(tmp_path: Path) -> None:
    pairs = show_rows(find_document("plain:mini"), 40, tmp_path)
    assert [(_read(pair["chosen"]), _read(pair["rejected"])) for pair in pairs] == [
        (pair["chosen_reward"], pair["rejected_reward"]) for pair in pairs
    ]
    assert len({pair["chosen_reward"] for pair in pairs}) > 4


def test_of_other_families_what_a_loss_is_given_is_shown_beside_the_reward(tmp_path: Path) -> None:
    scored = show_rows(find_document("guardrail:mini"), 40, tmp_path)
    assert {row["chosen_aux"] for row in scored} == {row["rejected_aux"] for row in scored} == {-1.0, 0.0}
    assert all(-0.5 < row["prompt_value"] < -0.1 for row in scored), "learnt from all rows, not from these few"
    recorded = show_rows(find_document("outcome:mini"), 40, tmp_path)
    assert [_read(row["recorded"]) for row in recorded] == [row["reward"] for row in recorded]
    assert len({row["outcome"] for row in recorded}) == 40
    said = show_rows(find_document("plurality:mini"), 40, tmp_path)
    assert [len(row["answer"]) for row in said] == [3] * 40
    chances = [row["chance"] for row in said]
    assert chances == sorted(chances, reverse=True)
