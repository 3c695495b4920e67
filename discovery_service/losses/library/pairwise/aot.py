"""AOT: the policy's margins are to dominate the reference's quantile by quantile.

Paper: Melnyk et al., Distributional Preference Alignment of LLMs via Optimal Transport, arXiv 2406.05882, the
    paired form.
Defaults: beta = .1; the paper's logistic surrogate, without label smoothing.
Differs: a row of the result belongs to a rank in the batch, not to a pair.
"""


def aot_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    policy_margin = torch.sort(policy_chosen_logps - policy_rejected_logps, dim=0).values
    reference_margin = torch.sort(reference_chosen_logps - reference_rejected_logps, dim=0).values
    return -F.logsigmoid(beta * (policy_margin - reference_margin))
