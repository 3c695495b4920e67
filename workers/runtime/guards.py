"""Clamps what an operation is given where the value alone could end the process or the device's context.

On CUDA an index out of range is a device-side assertion, after which nothing runs there any more; on a CPU the quotient
of the smallest integer and -1 is a trap. Candidates whose values are in range are not touched by any of this.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from discovery_service.losses.refusals import RefusalCode, refuse

Guard = Callable[[list[Any], dict[str, Any]], None]
"""Changes the positional arguments in place."""


def _keep_index_in_range(given: list[Any], _keywords: dict[str, Any]) -> None:
    tensor, dim, index = given
    size = tensor.shape[dim] if tensor.dim() else 1
    if size == 0:
        raise refuse(RefusalCode.WRONG_ARGUMENT, "The loss takes elements out of an empty tensor.")
    given[2] = index.clamp(0, size - 1)


def _keep_probability_in_range(given: list[Any], _keywords: dict[str, Any]) -> None:
    # torch looks at the values on a CPU only; elsewhere they become indices unseen.
    given[1] = given[1].nan_to_num(0.0).clamp(0.0, 1.0)


def _keep_quotient_in_range(given: list[Any], keywords: dict[str, Any]) -> None:
    dividend = given[0]
    if keywords["rounding_mode"] == "trunc" and dividend.dtype in (torch.int32, torch.int64):
        given[0] = dividend.clamp(min=torch.iinfo(dividend.dtype).min + 1)


GUARDS: Mapping[str, Guard] = {
    "aten.gather.default": _keep_index_in_range,
    "aten.index_select.default": _keep_index_in_range,
    "aten.quantile.default": _keep_probability_in_range,
    "aten.div.Tensor_mode": _keep_quotient_in_range,
    "aten.div.Scalar_mode": _keep_quotient_in_range,
}
