"""AQFL: logistic loss far from an adaptive quantile of the margin, a share of the hinge near it.

Paper: Lu et al., Discovering Preference Optimization Algorithms with and for Large Language Models, arXiv
    2406.08414, among the discovered losses.
Defaults: tau = .05, by which the published code scales the margin inside the switch, so that its shape does not
    depend on beta; the function that the paper prints has the unscaled margin, the same at beta = .05 alone. rate =
    .05, sharpness = .1.
Differs: nothing; gradients flow through the batch's statistics, and a batch of one row has none.
"""


def aqfl_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    beta,
    tau=0.05,
    rate=0.05,
    sharpness=0.1,
):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    spread = (z / tau).std() * torch.sigmoid(-z / tau).mean()
    quantile = spread + rate * (torch.sigmoid((z / tau).mean()) - spread)
    share = torch.sigmoid(sharpness * (z / tau - quantile).abs())
    return share * -F.logsigmoid(z) + (1 - share) * torch.relu(1 - z)
