"""The metrics that a measurement may have: what each means, and which ones only some arenas tell."""

from collections.abc import Container, Iterable, Mapping

from discovery_service.domain.families import Family

MEANINGS: Mapping[str, str] = {
    "J": "what is wanted of a policy, as the data are told",
    "reward": "mean reward of sampled answers",
    "score": "mean score of sampled answers",
    "kl": "divergence of the policy from the reference, in nats an answer",
    "accuracy": "share of held-out pairs in which the policy has gained more on the preferred answer",
    "win_rate": "share of prompts on which its answer is worth more than the reference's",
    "attained": "share of what could be gained in J over the reference",
    "length": "tokens of a sampled answer",
    "diversity": "share of neighbouring words that sixteen sampled texts do not have twice",
    "disagreement": "share of pairs ordered otherwise than annotators want on average",
    "angle": "degrees between how the policy and how the mean of all annotators order pairs",
    "proxy_reward": "mean of a reward fitted to the pairs",
    "violations": "share of sampled answers that break the rule",
    "matched_violations": "the same of a policy on the same way that is 1 nat from the reference",
    "matched_win_rate": "and its win rate there",
    "value": "outcome to be expected of the policy, of held-out rows weighted by how much likelier it gives them",
    "weighted_rows": "share of the held-out rows that such weights are worth",
    "bias": "by how much the outcome model finds sampled answers better than they are",
    "pm_divergence": "mean square by which rewards and log-chances of two answers differ; few answers game it",
    "kl_to_target": "nats from what rewards say of natural answers to what the policy does",
    "junk": "chance of an answer with junk in it",
}

OWN_OF: Mapping[Family, tuple[str, ...]] = {
    Family.PAIRWISE: ("disagreement", "angle"),
    Family.AUXILIARY: ("violations", "matched_violations", "matched_win_rate"),
    Family.OUTCOME: ("bias", "value", "weighted_rows"),
    Family.MATCHING: ("pm_divergence", "kl_to_target", "junk"),
}
"""Of arenas where annotators differ, of those with a rule, of outcomes, and of short answers: shown where they are."""

OWN = tuple(name for names in OWN_OF.values() for name in names)


def list_own(told: Iterable[Container[str]]) -> list[str]:
    """Those of them that something of what is told has."""
    every = list(told)
    return [name for name in OWN if any(name in each for each in every)]
