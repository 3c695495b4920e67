"""The exponential loss on the margin, AdaBoost's.

Paper: Tang et al., Generalized Preference Optimization, arXiv 2402.05749, table 1.
Defaults: beta = .1.
Differs: nothing; its gradient has no bound.
"""


def exp_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    return torch.exp(-z)
