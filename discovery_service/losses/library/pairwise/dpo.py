"""DPO: the likelihood of the preferences, with the policy's own log-ratios as the reward.

Paper: Rafailov et al., Direct Preference Optimization, arXiv 2305.18290, equation 7.
Defaults: beta is .1 in the paper's dialogues and .5 in its summaries.
Differs: nothing.
"""


def dpo_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    return -F.logsigmoid(beta * rho)
