"""APO-zero: raises the preferred answer and lowers the other, each against the reference alone.

Paper: D'Oosterlinck et al., Anchored Preference Optimization, arXiv 2408.06266, equation 7.
Defaults: beta = .1; meant for answers that are better than the model's own.
Differs: nothing but a constant, which keeps it above 0.
"""


def apo_zero_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    chosen_reward = beta * (policy_chosen_logps - reference_chosen_logps)
    rejected_reward = beta * (policy_rejected_logps - reference_rejected_logps)
    return 1 - torch.sigmoid(chosen_reward) + torch.sigmoid(rejected_reward)
