"""Takes the ways that jobs take once before any child is locked: torch imports much of itself late, and then it cannot.

The sources are ours, so they may be executed here.
"""

import json
import traceback
from contextlib import suppress

from discovery_service.domain.families import Family
from discovery_service.losses.refusals import Refused
from discovery_service.losses.source import check_source
from workers.jail.compiler import compile_source
from workers.jail.examine_graph import examine_request
from workers.jail.execute import execute_sent, execute_source
from workers.jail.late_imports import load_late_imports

SOURCES = {
    Family.PAIRWISE: """
def loss(policy_chosen_logps, policy_rejected_logps, beta, margin=0.5):
    z = beta * (policy_chosen_logps - policy_rejected_logps) - margin
    with torch.no_grad():
        weight = torch.where(z > z.mean(), torch.sigmoid(z), torch.quantile(z, 0.5))
    return -weight * F.logsigmoid(z) + F.softplus(z).clamp(max=3.0) * math.exp(-1.0)
""",
    Family.AUXILIARY: """
def loss(policy_chosen_logps, policy_rejected_logps, chosen_aux, rejected_aux, beta):
    return torch.relu(1 - beta * (policy_chosen_logps - policy_rejected_logps)) * (chosen_aux - rejected_aux).abs()
""",
    Family.OUTCOME: """
def loss(policy_logps, behavior_logps, outcomes, beta, progress):
    ratio = torch.exp(policy_logps - behavior_logps)
    return -torch.minimum(ratio, ratio.clamp(1 - 0.2, 1 + 0.2)) * outcomes + beta * progress * policy_logps
""",
    Family.MATCHING: """
def loss(policy_token_logps, reference_token_logps, mask, rewards, beta):
    total = ((policy_token_logps - reference_token_logps) * mask).sum(-1) / mask.sum(-1).clamp(min=1)
    return (beta * total - rewards) ** 2
""",
}

ON_SIZES = """
def loss(policy_chosen_logps, policy_rejected_logps, annotator, beta):
    z = policy_chosen_logps - policy_rejected_logps
    n = z.shape[0]
    pairs = (z[:, None] - z[None, :]).flatten()
    same = (annotator[:, None] == annotator[None, :]).float()
    ranks = torch.cumsum(torch.sort(z).values, 0) / torch.arange(1, n + 1)
    scale = pairs.shape[0] / (n * n) + n % 2 + n // 2 + max(n, 3) - min(2 * n, 7) + math.sqrt(n) + n**2 + n**0.5
    half = torch.cat([z, z]).view(2, n).sum()
    if n * (n - 1) >= 2 and n != 0:
        scale = scale + z.repeat(n).reshape(n, n).shape[0] + torch.outer(z, z).numel()
    return F.softplus(-beta * z) * scale + (same * z).mean(1) + ranks + half + pairs.mean()
"""
"""Products, powers, quotients and comparisons of sizes: for them symbolic sizes load and cache parts of their own."""

REFUSED = (
    "def loss(policy_chosen_logps, policy_rejected_logps):\n    return policy_chosen_logps.mean()\n",
    "def loss(policy_chosen_logps, policy_rejected_logps):\n"
    "    return policy_chosen_logps if policy_rejected_logps.sum() > 0 else policy_rejected_logps\n",
    "def loss(policy_chosen_logps, policy_rejected_logps):\n    return policy_chosen_logps.reshape(7, -1).sum(0)\n",
    "def loss(policy_chosen_logps, policy_rejected_logps):\n    return torch.bmm(policy_chosen_logps, beta)\n",
    "def loss(policy_chosen_logps, policy_rejected_logps):\n"
    "    n = policy_chosen_logps.shape[0]\n    return policy_chosen_logps * (2.0 if n * n % 3 > 1 else n)\n",
)


def warm_up() -> None:
    load_late_imports()
    for family, source in SOURCES.items():
        _take(source, family)
    _take(ON_SIZES, Family.PAIRWISE)
    for text in REFUSED:
        with suppress(Refused):
            _take(text, Family.PAIRWISE)
    try:
        json.loads("{")
    except ValueError:
        traceback.format_exc()


def _take(text: str, family: Family) -> None:
    checked = check_source(text, family)
    examine_request({"graph": compile_source(checked)})
    execute_source(checked)
    execute_sent(text, checked)
