"""OO-RLHF: the value that an outcome model sees in answers of the reference, weighted as the policy would give them.

Paper: Lin, Ben-Michael and Morency, arXiv 2402.14979, the ablation with the outcome model alone.
Defaults: none of the paper's; beta is this service's.
Differs: weights are normalised within the batch, so that a batch of one teaches nothing; and a KL term by beta, which
    the paper leaves out: without one the weights end on a few answers.
"""


def oo_rlhf(sampled_policy_logps, sampled_reference_logps, sampled_predicted_outcomes, beta):
    ratio = sampled_policy_logps - sampled_reference_logps
    weight = ratio.shape[0] * torch.softmax(ratio, dim=0)
    divergence = torch.log_softmax(ratio, dim=0) + math.log(ratio.shape[0])
    return weight * (beta * divergence - sampled_predicted_outcomes)
