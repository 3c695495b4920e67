"""LRML, called DiscoPOP: logistic loss for wrong pairs, exponential for right ones, blended by the margin.

Paper: Lu et al., Discovering Preference Optimization Algorithms with and for Large Language Models, arXiv
    2406.08414, equation 5.
Defaults: tau = .05; beta = .05 where it was found.
Differs: as the published code, which scales the margin inside the switch by tau, so that its shape does not depend on
    beta. The function that the paper prints has the unscaled margin there: the same at beta = .05 and nowhere else. The
    blend makes the loss rise around margin 0; it is monotone from about tau = .11 on.
"""


def lrml_loss(
    policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta, tau=0.05
):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    share = torch.sigmoid(z / tau)
    return (1 - share) * -F.logsigmoid(z) + share * torch.exp(-z)
