"""DPO plus the likelihood of the preferred answer per token, which keeps that from falling.

Paper: Pang et al., Iterative Reasoning Preference Optimization, arXiv 2404.19733, equation 1.
Defaults: alpha = 1 weighs the part of DPO; the paper's beta is .1.
Differs: the likelihood is that of the answer alone, without the reasoning before it.
"""


def dpo_nll_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    chosen_lengths,
    beta,
    alpha=1.0,
):
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    nll = -policy_chosen_logps / chosen_lengths.clamp(min=1)
    return nll - alpha * F.logsigmoid(beta * rho)
