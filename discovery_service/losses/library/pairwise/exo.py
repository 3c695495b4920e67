"""EXO: the reverse divergence from the policy's preference to the smoothed label.

Paper: Ji et al., Towards Efficient Exact Optimization of Language Model Alignment, arXiv 2402.00856, equation
    16.
Defaults: label_smoothing = .001, the paper's epsilon; it must stay above 0.
Differs: nothing.
"""


def exo_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    beta,
    label_smoothing=0.001,
):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    right = torch.sigmoid(z) * (F.logsigmoid(z) - math.log(1 - label_smoothing))
    wrong = torch.sigmoid(-z) * (F.logsigmoid(-z) - math.log(label_smoothing))
    return right + wrong
