"""PADLL: DPO with half the weight on pairs that are ordered wrongly.

Paper: Lu et al., Discovering Preference Optimization Algorithms with and for Large Language Models, arXiv
    2406.08414, among the discovered losses.
Defaults: weight = .9, penalty = .5.
Differs: nothing; the loss jumps up at margin 0.
"""


def padll_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    beta,
    weight=0.9,
    penalty=0.5,
):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    is_wrong = (z < 0).to(z.dtype)
    return weight * (1 - penalty * is_wrong) * -F.logsigmoid(z)
