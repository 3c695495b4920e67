"""CELL: half logistic, half exponential loss on the margin.

Paper: Lu et al., Discovering Preference Optimization Algorithms with and for Large Language Models, arXiv
    2406.08414, among the discovered losses.
Defaults: mix = .5.
Differs: nothing.
"""


def cell_loss(
    policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta, mix=0.5
):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    return mix * torch.exp(-z) - (1 - mix) * F.logsigmoid(z)
