"""Conditional preference matching: entropy for tokens that the reference finds natural, its divergence for others.

Paper: Xiao et al., On the Algorithmic Bias of Aligning Large Language Models with RLHF, arXiv 2405.16455, conditional
    PM as in the released code.
Defaults: alpha = .02, which must lie between junk and the rarest natural token under the reference; rewards within 5.
Differs: REINFORCE with what the other answers to the prompt earn from each token on as the baseline, not PPO.
"""


def conditional_pm(policy_token_logps, reference_token_logps, mask, rewards, group, beta, alpha=0.02, bound=5.0):
    is_natural = reference_token_logps > math.log(alpha)
    penalty = mask * torch.where(is_natural, policy_token_logps, policy_token_logps - reference_token_logps)
    to_go = rewards.clamp(-bound, bound)[:, None] - beta * (penalty.sum(1, keepdim=True) - penalty.cumsum(1) + penalty)
    same = (group[:, None] == group[None, :]).to(to_go.dtype)
    others = (same.sum(1, keepdim=True) - 1).clamp(min=1)
    advantage = (to_go - (same @ to_go - to_go) / others).detach()
    return -(advantage * policy_token_logps * mask).sum(1)
