"""DR-CPO: the outcome model's value, and by inverse propensity what recorded outcomes say against the model.

Paper: Lin, Ben-Michael and Morency, arXiv 2402.14979, V_DR: right if either the propensity or the model is.
Defaults: both parts count 1, as in the released code.
Differs: weights are normalised within the batch, as in the released code, by the propensity alone; and a KL term by
    beta on the reference's answers, without which the weights end on a few answers.
"""


def dr_cpo(
    policy_logps,
    behavior_logps,
    outcomes,
    predicted_outcomes,
    sampled_policy_logps,
    sampled_reference_logps,
    sampled_predicted_outcomes,
    beta,
):
    weight = policy_logps.shape[0] * torch.softmax(policy_logps - behavior_logps, dim=0)
    ratio = sampled_policy_logps - sampled_reference_logps
    sampled_weight = ratio.shape[0] * torch.softmax(ratio, dim=0)
    divergence = torch.log_softmax(ratio, dim=0) + math.log(ratio.shape[0])
    modelled = sampled_weight * (beta * divergence - sampled_predicted_outcomes)
    return modelled - weight * (outcomes - predicted_outcomes)
