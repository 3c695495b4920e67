"""DBAQL: logistic or exponential loss, by how much the margins vary within the batch.

Paper: Lu et al., Discovering Preference Optimization Algorithms with and for Large Language Models, arXiv
    2406.08414, among the discovered losses.
Defaults: tau = .05, by which the published code scales the margin inside the switch, so that its shape does not
    depend on beta; the function that the paper prints has the unscaled margin, the same at beta = .05 alone.
    temperature = .9.
Differs: nothing; gradients flow through the variance, and a batch of one row has none.
"""


def dbaql_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    beta,
    tau=0.05,
    temperature=0.9,
):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    share = torch.sigmoid((z / tau).var())
    logistic = -F.logsigmoid(z / temperature)
    exponential = torch.exp(-z * temperature)
    return share * logistic + (1 - share) * exponential
