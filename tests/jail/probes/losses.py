"""Losses of every family that behave in a known way."""

import torch
from torch import Tensor

from workers.jail.draws import Inputs

F = torch.nn.functional


def modpo(inputs: Inputs) -> Tensor:
    """A margin for the auxiliary scores inside DPO's logit."""
    chosen = inputs["policy_chosen_logps"] - inputs["reference_chosen_logps"]
    rejected = inputs["policy_rejected_logps"] - inputs["reference_rejected_logps"]
    scores = inputs["chosen_aux"] - inputs["rejected_aux"]
    return F.softplus(-(inputs["beta"] * (chosen - rejected) - scores))


def cpo(inputs: Inputs) -> Tensor:
    """Outcomes weighted by how much likelier the policy makes the recorded answer."""
    weight = torch.exp((inputs["policy_logps"] - inputs["behavior_logps"]).clamp(-20, 20))
    return -weight * inputs["outcomes"]


def self_normalised_cpo(inputs: Inputs) -> Tensor:
    ratio = inputs["policy_logps"] - inputs["behavior_logps"]
    return -torch.softmax(ratio, dim=0) * len(ratio) * inputs["outcomes"]


def oo_rlhf(inputs: Inputs) -> Tensor:
    ratio = inputs["sampled_policy_logps"] - inputs["sampled_reference_logps"]
    return -torch.exp(ratio.clamp(-20, 20)) * inputs["sampled_predicted_outcomes"]


def policy_gradient(inputs: Inputs) -> Tensor:
    """Each token as likely as its answer's reward, less what it costs in KL."""
    ratio = inputs["policy_token_logps"] - inputs["reference_token_logps"]
    reward = inputs["rewards"][:, None] - inputs["beta"] * ratio.detach()
    return -(inputs["mask"] * reward * inputs["policy_token_logps"]).sum(dim=1)


def within_groups(inputs: Inputs) -> Tensor:
    """Answers are compared with the others to their prompt."""
    same = (inputs["group"][:, None] == inputs["group"][None, :]).float()
    advantage = inputs["rewards"] - same @ inputs["rewards"] / same.sum(dim=1)
    return -advantage * (inputs["mask"] * inputs["policy_token_logps"]).sum(dim=1)
