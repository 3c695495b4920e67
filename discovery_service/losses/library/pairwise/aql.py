"""AQL: logistic loss below a moving quantile of the margin, hinge above.

Paper: Lu et al., Discovering Preference Optimization Algorithms with and for Large Language Models, arXiv
    2406.08414, among the discovered losses.
Defaults: tau = .05, by which the published code scales the margin inside the switch, so that its shape does not
    depend on beta; the function that the paper prints has the unscaled margin, the same at beta = .05 alone.
    quantile = .5, moved by .01 of the batch's mean.
Differs: nothing.
"""


def aql_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    beta,
    tau=0.05,
    quantile=0.5,
    rate=0.01,
):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    moved = quantile + rate * (torch.sigmoid((z / tau).mean()) - quantile)
    share = torch.sigmoid(-(z / tau - moved))
    return share * -F.logsigmoid(z) + (1 - share) * torch.relu(1 - z)
