"""DPO with half the offset for lengths that answers the annotators of the arena 'terse'."""


def length_offset_half_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    chosen_lengths,
    rejected_lengths,
    beta,
):
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    return -F.logsigmoid(beta * rho - 0.075 * (chosen_lengths - rejected_lengths))
