"""IPO on log-probabilities per token, the form that its authors ran and TRL has.

Paper: Azar et al., A General Theoretical Paradigm to Understand Learning from Human Preferences, arXiv
    2310.12036, equation 17.
Defaults: beta is the paper's tau; against sums over tokens, the same beta asks for a margin longer by the
    length.
Differs: the log-ratios are divided by the answers' lengths, as TRL's loss_type 'ipo' does.
"""


def ipo_avg_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    chosen_lengths,
    rejected_lengths,
    beta,
):
    chosen_ratio = (policy_chosen_logps - reference_chosen_logps) / chosen_lengths.clamp(min=1)
    rejected_ratio = (policy_rejected_logps - reference_rejected_logps) / rejected_lengths.clamp(min=1)
    return (chosen_ratio - rejected_ratio - 1 / (2 * beta)) ** 2
