"""DPO-Positive: DPO that is punished where the preferred answer became less likely than under the reference.

Paper: Pal et al., Smaug: Fixing Failure Modes of Preference Optimisation with DPO-Positive, arXiv 2402.13228,
    its DPOP loss.
Defaults: penalty = 50 is the paper's lambda, its beta is .3.
Differs: nothing.
"""


def dpop_loss(
    policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta, penalty=50.0
):
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    shortfall = torch.relu(reference_chosen_logps - policy_chosen_logps)
    return -F.logsigmoid(beta * (rho - penalty * shortfall))
