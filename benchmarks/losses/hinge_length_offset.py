"""SLiC's hinge on a margin with the offset for lengths of the arena 'terse'."""


def hinge_length_offset_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    chosen_lengths,
    rejected_lengths,
    beta,
):
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    z = beta * rho - 0.15 * (chosen_lengths - rejected_lengths)
    return torch.relu(1 - z)
