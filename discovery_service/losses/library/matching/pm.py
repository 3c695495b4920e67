"""Preference matching: the reward and beta times the entropy, so that the policy gives answers as often as they win.

Paper: Xiao et al., On the Algorithmic Bias of Aligning Large Language Models with RLHF, arXiv 2405.16455, R = -log pi.
Defaults: rewards within 5, as in the released code. Preferences are matched at beta = 1.
Differs: REINFORCE with what the other answers to the prompt earn from each token on as the baseline, not PPO.
"""


def pm(policy_token_logps, mask, rewards, group, beta, bound=5.0):
    penalty = policy_token_logps * mask
    to_go = rewards.clamp(-bound, bound)[:, None] - beta * (penalty.sum(1, keepdim=True) - penalty.cumsum(1) + penalty)
    same = (group[:, None] == group[None, :]).to(to_go.dtype)
    others = (same.sum(1, keepdim=True) - 1).clamp(min=1)
    advantage = (to_go - (same @ to_go - to_go) / others).detach()
    return -(advantage * policy_token_logps * mask).sum(1)
