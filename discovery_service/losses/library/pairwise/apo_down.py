"""APO-down: lowers both answers against the reference, the rejected one further.

Paper: D'Oosterlinck et al., Anchored Preference Optimization, arXiv 2408.06266, equation 8.
Defaults: beta = .1; meant for answers that are worse than the model's own.
Differs: nothing but a constant, which keeps it above 0.
"""


def apo_down_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    chosen_reward = beta * (policy_chosen_logps - reference_chosen_logps)
    rejected_reward = beta * (policy_rejected_logps - reference_rejected_logps)
    return torch.sigmoid(chosen_reward) + 1 - torch.sigmoid(chosen_reward - rejected_reward)
