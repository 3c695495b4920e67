"""RLHF's policy gradient: the reward, less beta times the divergence from the reference.

Paper: Ziegler et al., Fine-Tuning Language Models from Human Preferences, arXiv 1909.08593, equation 2; the baseline
    of Xiao et al., arXiv 2405.16455.
Defaults: rewards within 5, as in the latter's code.
Differs: REINFORCE with what the other answers to the prompt earn from each token on as the baseline, not PPO.
"""


def kl_rlhf(policy_token_logps, reference_token_logps, mask, rewards, group, beta, bound=5.0):
    penalty = (policy_token_logps - reference_token_logps) * mask
    to_go = rewards.clamp(-bound, bound)[:, None] - beta * (penalty.sum(1, keepdim=True) - penalty.cumsum(1) + penalty)
    same = (group[:, None] == group[None, :]).to(to_go.dtype)
    others = (same.sum(1, keepdim=True) - 1).clamp(min=1)
    advantage = (to_go - (same @ to_go - to_go) / others).detach()
    return -(advantage * policy_token_logps * mask).sum(1)
