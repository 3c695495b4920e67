"""SLiC: a hinge on the margin; a pair that is right by 1 / beta says nothing more.

Paper: Zhao et al., SLiC-HF, arXiv 2305.10425; the form against a reference is that of Liu et al., Statistical
    Rejection Sampling Improves Preference Optimization, arXiv 2309.06657.
Defaults: beta = .1.
Differs: no regulariser on supervised targets beside it; it is TRL's loss_type 'hinge'.
"""


def slic_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    return torch.relu(1 - z)
