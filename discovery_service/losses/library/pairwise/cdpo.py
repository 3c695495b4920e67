"""cDPO: DPO that expects a share of the labels to be wrong.

Paper: Mitchell, A note on DPO with noisy preferences and relationship to IPO, 2023, equation 3.
Defaults: label_smoothing = .1, a usual choice; the note names none.
Differs: nothing; unlike rDPO the loss stays bounded below, with its minimum at a finite margin.
"""


def cdpo_loss(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    beta,
    label_smoothing=0.1,
):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    return -(1 - label_smoothing) * F.logsigmoid(z) - label_smoothing * F.logsigmoid(-z)
