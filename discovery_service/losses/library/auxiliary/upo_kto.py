"""UPO on KTO: preferences by KTO's pair form, auxiliary scores by likelihood that is weighted with their advantage.

Paper: Badrinath, Agarwal and Xu, arXiv 2405.17956; its body could not be had, the constants are this service's.
Defaults: gamma = .05, temperature = .3, weights of at most 20.
Differs: the prompt's value comes with the data, fitted by expectile regression, and is not learned beside the policy;
    KTO's halves are those of a pair. Each answer is a row of its own here, so that gamma is that of their mean.
"""


def upo_kto(
    policy_chosen_logps,
    policy_rejected_logps,
    reference_chosen_logps,
    reference_rejected_logps,
    chosen_aux,
    rejected_aux,
    prompt_value,
    beta,
    gamma=0.05,
    temperature=0.3,
    largest=20.0,
):
    chosen_ratio = policy_chosen_logps - reference_chosen_logps
    rejected_ratio = policy_rejected_logps - reference_rejected_logps
    chosen_kl = chosen_ratio.mean().clamp(min=0)
    rejected_kl = rejected_ratio.mean().clamp(min=0)
    chosen_weight = ((chosen_aux - prompt_value) / temperature).clamp(max=math.log(largest)).exp()
    rejected_weight = ((rejected_aux - prompt_value) / temperature).clamp(max=math.log(largest)).exp()
    chosen = 1 - torch.sigmoid(beta * (chosen_ratio - rejected_kl)) - gamma * chosen_weight * policy_chosen_logps
    rejected = 1 - torch.sigmoid(beta * (chosen_kl - rejected_ratio)) - gamma * rejected_weight * policy_rejected_logps
    return torch.cat((chosen, rejected), dim=0)
