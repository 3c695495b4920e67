"""chi-PO: DPO with the link of a mixed chi-squared and KL divergence, which costs a policy that strays far.

Paper: Huang et al., Correcting the Mythos of KL-Regularization, arXiv 2407.13399, algorithm 1 with the link
    phi(u) = u + log u.
Defaults: beta = .1.
Differs: the logit is not clipped to twice the largest reward, which is not known here; the exponent is kept
    below 20 so that it cannot overflow.
"""


def chi_po_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    chosen_ratio = policy_chosen_logps - reference_chosen_logps
    rejected_ratio = policy_rejected_logps - reference_rejected_logps
    chosen_reward = torch.exp(chosen_ratio.clamp(max=20)) + chosen_ratio
    rejected_reward = torch.exp(rejected_ratio.clamp(max=20)) + rejected_ratio
    return -F.logsigmoid(beta * (chosen_reward - rejected_reward))
