"""Cal-DPO: the logistic loss on the margin, with each log-ratio drawn to plus or minus 1 / (2 beta).

Paper: Xiao et al., Cal-DPO: Calibrated Direct Preference Optimization, arXiv 2412.14516, equation 10 and
    algorithm 1.
Defaults: beta between .001 and .1 in the paper.
Differs: nothing; as there, beta is in the target and not in the logistic part, so the loss is no function of
    beta times the margin.
"""


def cal_dpo_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    chosen_ratio = policy_chosen_logps - reference_chosen_logps
    rejected_ratio = policy_rejected_logps - reference_rejected_logps
    target = 1 / (2 * beta)
    calibration = (chosen_ratio - target) ** 2 + (rejected_ratio + target) ** 2
    return -F.logsigmoid(chosen_ratio - rejected_ratio) + calibration
