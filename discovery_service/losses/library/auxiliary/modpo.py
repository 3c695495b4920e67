"""MODPO's margin: DPO on what the auxiliary scores leave of the reward to be explained by the preferences.

Paper: Zhou et al., Beyond One-Preference-Fits-All Alignment, arXiv 2310.03708, equation 8, the auxiliary score in the
    place of a margin reward model.
Defaults: weight = 1.
Differs: the scores are given and not a model's; the preferences' own weight is 1.
"""


def modpo(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    chosen_aux,
    rejected_aux,
    beta,
    weight=1.0,
):
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    return -F.logsigmoid(beta * rho - weight * (chosen_aux - rejected_aux))
