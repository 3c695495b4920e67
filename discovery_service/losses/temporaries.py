"""Names for intermediate results: by what they mean where that is known, else by the operation that made them."""

from collections.abc import Mapping, Sequence

_MEANINGS: Mapping[tuple[str, ...], str] = {
    ("sub", "policy_chosen_logps", "policy_rejected_logps"): "policy_margin",
    ("sub", "reference_chosen_logps", "reference_rejected_logps"): "reference_margin",
    ("sub", "policy_margin", "reference_margin"): "margin",
    ("sub", "policy_chosen_logps", "reference_chosen_logps"): "chosen_log_ratio",
    ("sub", "policy_rejected_logps", "reference_rejected_logps"): "rejected_log_ratio",
    ("sub", "chosen_log_ratio", "rejected_log_ratio"): "margin",
    ("div", "policy_chosen_logps", "chosen_lengths"): "chosen_logps_per_token",
    ("div", "policy_rejected_logps", "rejected_lengths"): "rejected_logps_per_token",
    ("sub", "chosen_logps_per_token", "rejected_logps_per_token"): "margin_per_token",
    ("sub", "chosen_lengths", "rejected_lengths"): "length_difference",
    ("sub", "chosen_aux", "rejected_aux"): "aux_difference",
    ("sub", "policy_logps", "reference_logps"): "log_ratio",
    ("sub", "policy_logps", "behavior_logps"): "log_weight",
    ("sub", "sampled_policy_logps", "sampled_reference_logps"): "sampled_log_ratio",
    ("sub", "outcomes", "predicted_outcomes"): "residual",
    ("sub", "policy_token_logps", "reference_token_logps"): "token_log_ratio",
    ("mul", "beta", "margin"): "scaled_margin",
    ("mul", "margin", "beta"): "scaled_margin",
}
_NOUNS: Mapping[str, str] = {
    **dict.fromkeys(("add", "sum", "cumsum", "nansum"), "total"),
    **dict.fromkeys(("sub", "rsub", "diff"), "difference"),
    **dict.fromkeys(("mul", "prod", "mm", "mv", "bmm", "matmul", "outer", "dot", "einsum"), "product"),
    **dict.fromkeys(("div", "floor_divide", "reciprocal"), "quotient"),
    **dict.fromkeys(("pow", "square"), "power"),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isfinite", "isinf"), "condition"),
    **dict.fromkeys(("logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or"), "condition"),
    **dict.fromkeys(("where", "masked_fill"), "choice"),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "minimum", "maximum", "relu"), "bounded"),
    **dict.fromkeys(("softmax", "_softmax"), "weights"),
    **dict.fromkeys(("sort", "topk", "cummax", "cummin"), "ordered"),
    **dict.fromkeys(("argsort", "argmax", "argmin"), "order"),
    **dict.fromkeys(("unbind", "split", "chunk", "broadcast_tensors"), "parts"),
    **dict.fromkeys(("to", "_to_copy", "type_as"), "converted"),
    **dict.fromkeys(("arange", "linspace"), "steps"),
    "neg": "negated",
    "exp": "exponential",
    "detach": "held",
    "cat": "joined",
    "stack": "stacked",
    "sym_size": "size",
}
_MAX_LENGTH = 24
_STATISTICS = {"mean": "mean", "std": "deviation", "var": "variance", "median": "median", "quantile": "quantile"}


def find_meaning(packet: str, operands: Sequence[str]) -> str | None:
    """What the result is called in the papers, where it is one of theirs."""
    return _MEANINGS.get((packet, *operands))


def suggest_name(packet: str, operands: Sequence[str]) -> str:
    if meaning := find_meaning(packet, operands):
        return meaning
    if packet in _STATISTICS and operands and len(operands[0]) <= _MAX_LENGTH:
        return f"{operands[0]}_{_STATISTICS[packet]}"
    if packet.startswith("sym_"):
        return _NOUNS.get(packet, "count")
    return _NOUNS.get(packet, f"{packet.strip('_')}_value")
