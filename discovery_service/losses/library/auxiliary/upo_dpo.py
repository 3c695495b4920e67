"""UPO on DPO: preferences by DPO, auxiliary scores by likelihood that is weighted with their advantage.

Paper: Badrinath, Agarwal and Xu, arXiv 2405.17956; its body could not be had, the constants are this service's.
Defaults: gamma = .05, temperature = .3, weights of at most 20.
Differs: the prompt's value comes with the data, fitted by expectile regression, and is not learned beside the policy;
    gamma weighs the sum over both answers of a pair, twice what it is over their mean.
"""


def upo_dpo(
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
    rho = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)
    chosen_weight = ((chosen_aux - prompt_value) / temperature).clamp(max=math.log(largest)).exp()
    rejected_weight = ((rejected_aux - prompt_value) / temperature).clamp(max=math.log(largest)).exp()
    regression = -chosen_weight * policy_chosen_logps - rejected_weight * policy_rejected_logps
    return gamma * regression - F.logsigmoid(beta * rho)
