"""The value of a policy that does not change, from rows: by propensity, by an outcome model, and by both.

Estimators of a number, not losses of an example, so that none goes through the gate; the losses that do train policies
here.
"""

from torch import Tensor

from workers.reproduce.cpo.world import Rows


def by_propensity(policy: Tensor, propensity: Tensor, rows: Rows) -> Tensor:
    """V_IPW."""
    return (policy[rows.texts] / propensity[rows.texts] * rows.outcomes).mean()


def by_model(policy: Tensor, start: Tensor, sampled: Tensor, predictions: Tensor) -> Tensor:
    """V_out, over texts that the start has said."""
    return (policy[sampled] / start[sampled] * predictions[sampled]).mean()


def doubly(
    policy: Tensor, propensity: Tensor, rows: Rows, start: Tensor, sampled: Tensor, predictions: Tensor
) -> Tensor:
    """V_DR: what the model says, and by propensity what the outcomes say against it."""
    against = Rows(rows.texts, rows.outcomes - predictions[rows.texts])
    return by_propensity(policy, propensity, against) + by_model(policy, start, sampled, predictions)
