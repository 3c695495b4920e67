"""rDPO: DPO whose expectation over flipped labels is that of clean ones.

Paper: Chowdhury et al., Provably Robust DPO, arXiv 2403.00409, its unbiased loss.
Defaults: label_smoothing = .1, the share of flipped labels; it must stay below .5.
Differs: nothing; it is unbounded below, for a wrong label is worth a negative loss.
"""


def robust_dpo_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    beta,
    label_smoothing=0.1,
):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    clean = -(1 - label_smoothing) * F.logsigmoid(z)
    flipped = -label_smoothing * F.logsigmoid(-z)
    return (clean - flipped) / (1 - 2 * label_smoothing)
