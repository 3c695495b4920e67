"""SFT on the best half: the likelihood of the answers with the better outcomes, as if nothing else were known of them.

Paper: Lin, Ben-Michael and Morency, arXiv 2402.14979, the baseline that is fine-tuned on texts with high outcomes.
Defaults: none.
Differs: the better half of each batch; answers that are as good as its median belong to it.
"""


def sft_best_half(policy_logps, outcomes):
    return -(outcomes >= outcomes.median()).to(policy_logps.dtype) * policy_logps
