"""Half DPO, half the exponential loss."""


def dpo_exp_blend_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    beta,
):
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    z = beta * rho
    return 0.5 * -F.logsigmoid(z) + 0.5 * torch.exp(-z)
