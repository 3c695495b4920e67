"""DPO with the offset for lengths of the arena 'terse' and the wrong sign."""


def length_offset_reversed_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    chosen_lengths,
    rejected_lengths,
    beta,
):
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    return -F.logsigmoid(beta * rho + 0.15 * (chosen_lengths - rejected_lengths))
