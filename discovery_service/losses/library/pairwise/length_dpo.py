"""R-DPO: DPO with an offset for the difference of lengths, so that length need not be learned as quality.

Paper: Park et al., Disentangling Length from Quality in Direct Preference Optimization, arXiv 2403.19159, its
    regularised loss.
Defaults: alpha = .05 nats a token, the lowest of those that the SimPO paper searched.
Differs: nothing.
"""


def length_dpo_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    chosen_lengths,
    rejected_lengths,
    beta,
    alpha=0.05,
):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    return -F.logsigmoid(z + alpha * (chosen_lengths - rejected_lengths))
