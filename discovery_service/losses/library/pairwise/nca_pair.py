"""NCA on pairs: classifies each answer against the reference's, so that the preferred one stays likely.

Paper: Chen et al., Noise Contrastive Alignment of Language Models with Explicit Rewards, arXiv 2402.05369, with
    two answers and hard labels.
Defaults: beta = .01 in the paper.
Differs: nothing; it is TRL's loss_type 'nca_pair'.
"""


def nca_pair_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    chosen_reward = beta * (policy_chosen_logps - reference_chosen_logps)
    rejected_reward = beta * (policy_rejected_logps - reference_rejected_logps)
    noise = 0.5 * (F.logsigmoid(-chosen_reward) + F.logsigmoid(-rejected_reward))
    return -F.logsigmoid(chosen_reward) - noise
