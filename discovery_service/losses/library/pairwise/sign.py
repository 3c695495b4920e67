"""The sign estimator: counts pairs that are ordered wrongly, smoothly, whatever the size of the margin.

Paper: Aouad, El Gadarri and Farias, arXiv 2510.23965; the paper names no surrogate of its 0-1 loss, this is a
    sigmoid.
Defaults: bandwidth = .3 of the batch's root mean square margin.
Differs: margins are scaled by the batch, since their size is not identified; beta therefore changes nothing. It does
    not begin with a pass of logistic loss: where all margins are 0, noise decides on its first steps.
"""


def sign_loss(
    policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, bandwidth=0.3
):
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    scale = (rho**2).mean().sqrt().clamp(min=1e-6).detach()
    return torch.sigmoid(-rho / (bandwidth * scale))
