"""CPO: the value of the policy by inverse propensity, from recorded outcomes and who gave which answer how often.

Paper: Lin, Ben-Michael and Morency, arXiv 2402.14979, V_IPW.
Defaults: none of the paper's; beta is this service's.
Differs: weights are normalised within the batch, as in the released code, by the propensity alone; and a KL term by
    beta on the reference's answers, without which the weights end on a few answers.
"""


def cpo(policy_logps, behavior_logps, outcomes, sampled_policy_logps, sampled_reference_logps, beta):
    weight = policy_logps.shape[0] * torch.softmax(policy_logps - behavior_logps, dim=0)
    ratio = sampled_policy_logps - sampled_reference_logps
    sampled_weight = ratio.shape[0] * torch.softmax(ratio, dim=0)
    divergence = torch.log_softmax(ratio, dim=0) + math.log(ratio.shape[0])
    return beta * sampled_weight * divergence - weight * outcomes
