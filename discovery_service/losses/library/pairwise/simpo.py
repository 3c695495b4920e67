"""SimPO: DPO without a reference, on log-probabilities per token, with a margin to be reached.

Paper: Meng et al., SimPO: Simple Preference Optimization with a Reference-Free Reward, arXiv 2405.14734,
    equation 6.
Defaults: gamma = .5, as in TRL; the paper's beta is 2 to 10, since log-probabilities per token are small.
Differs: nothing.
"""


def simpo_loss(policy_chosen_logps, policy_rejected_logps, chosen_lengths, rejected_lengths, beta, gamma=0.5):
    chosen_reward = beta * policy_chosen_logps / chosen_lengths.clamp(min=1)
    rejected_reward = beta * policy_rejected_logps / rejected_lengths.clamp(min=1)
    return -F.logsigmoid(chosen_reward - rejected_reward - gamma)
