"""DPO on log-ratios per token, as SimPO has log-probabilities, of which it keeps the reference."""


def dpo_per_token_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    chosen_lengths,
    rejected_lengths,
    beta,
):
    chosen = (policy_chosen_logps - reference_chosen_logps) / chosen_lengths.clamp(min=1)
    rejected = (policy_rejected_logps - reference_rejected_logps) / rejected_lengths.clamp(min=1)
    return -F.logsigmoid(beta * (chosen - rejected))
