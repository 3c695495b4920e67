"""KTO on pairs: each answer's log-ratio against the other side's mean, through a sigmoid.

Paper: Ethayarajh et al., KTO: Model Alignment as Prospect Theoretic Optimization, arXiv 2402.01306; the pair
    form is TRL's former loss_type 'kto_pair'.
Defaults: beta = .1; both weights of the paper are 1.
Differs: the reference point is the mean log-ratio of the batch, through which gradients flow; the result has a
    row for each of the two answers.
"""


def kto_pair_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    chosen_ratio = policy_chosen_logps - reference_chosen_logps
    rejected_ratio = policy_rejected_logps - reference_rejected_logps
    chosen_kl = chosen_ratio.mean().clamp(min=0)
    rejected_kl = rejected_ratio.mean().clamp(min=0)
    chosen_loss = 1 - torch.sigmoid(beta * (chosen_ratio - rejected_kl))
    rejected_loss = 1 - torch.sigmoid(beta * (chosen_kl - rejected_ratio))
    return torch.cat((chosen_loss, rejected_loss), dim=0)
