"""PFL: half a logistic loss where the policy itself prefers the right answer, twice the hinge elsewhere.

Paper: Lu et al., Discovering Preference Optimization Algorithms with and for Large Language Models, arXiv
    2406.08414, among the discovered losses.
Defaults: none.
Differs: nothing; the switch looks at the policy's log-probabilities and not at the margin, and the loss jumps
    there.
"""


def pfl_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    z = beta * ((policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps))
    is_right = policy_chosen_logps > policy_rejected_logps
    return torch.where(is_right, -F.logsigmoid(z) / 2, 2 * torch.relu(1 - z))
