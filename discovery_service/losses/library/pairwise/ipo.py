"""IPO: the margin regressed on 1 / (2 beta), so that certain preferences do not push it on for ever.

Paper: Azar et al., A General Theoretical Paradigm to Understand Learning from Human Preferences, arXiv
    2310.12036, equation 17.
Defaults: beta is the paper's tau.
Differs: log-probabilities are sums over tokens, as the paper writes it; TRL averages them, which is ipo_avg.
"""


def ipo_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    return (rho - 1 / (2 * beta)) ** 2
