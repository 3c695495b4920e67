"""ORPO: likelihood of the preferred answer plus the odds ratio between the two, without a reference.

Paper: Hong et al., ORPO: Monolithic Preference Optimization without Reference Model, arXiv 2403.07691,
    equations 4, 6 and 7.
Defaults: beta is the paper's lambda, the weight of the odds ratio: .1 there and in TRL.
Differs: log-probabilities per token are kept below -1e-6, where the odds would be infinite.
"""


def orpo_loss(policy_chosen_logps, policy_rejected_logps, chosen_lengths, rejected_lengths, beta):
    chosen = (policy_chosen_logps / chosen_lengths.clamp(min=1)).clamp(max=-1e-6)
    rejected = (policy_rejected_logps / rejected_lengths.clamp(min=1)).clamp(max=-1e-6)
    chosen_log_odds = chosen - torch.log(-torch.expm1(chosen))
    rejected_log_odds = rejected - torch.log(-torch.expm1(rejected))
    return -chosen - beta * F.logsigmoid(chosen_log_odds - rejected_log_odds)
