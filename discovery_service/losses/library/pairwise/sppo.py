"""SPPO: the log-ratios regressed on half a won and half a lost game.

Paper: Wu et al., Self-Play Preference Optimization for Language Model Alignment, arXiv 2405.00675, equation
    4.7.
Defaults: beta is 1 / eta; .001 in the paper.
Differs: the preferred answer wins with probability 1, as in TRL's loss_type 'sppo_hard'; the paper estimates
    it.
"""


def sppo_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    chosen_ratio = policy_chosen_logps - reference_chosen_logps
    rejected_ratio = policy_rejected_logps - reference_rejected_logps
    return (chosen_ratio - 1 / (2 * beta)) ** 2 + (rejected_ratio + 1 / (2 * beta)) ** 2
