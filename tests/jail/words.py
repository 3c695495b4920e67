"""A call of each function and method of the vocabulary, as an expression on `z` (B,), `annotator` and `beta`."""

from discovery_service.losses import vocabulary

_TABLE = """
z | z + 1.0: add atan2 div divide dot eq float_power fmax fmin ge greater greater_equal gt hypot isclose le less
z | z + 1.0: less_equal logaddexp logaddexp2 logical_and logical_or logical_xor lt maximum minimum mul multiply ne
z | z + 1.0: not_equal outer pow remainder fmod rsub sub subtract true_divide xlogy expand_as type_as view_as kl_div
z | z + 1.0: l1_loss mse_loss smooth_l1_loss huber_loss binary_cross_entropy_with_logits copysign
z.detach() | z.detach() + 1.0: floor_divide heaviside
z | 0: cummax cummin cumprod cumsum logcumsumexp log_softmax logsumexp softmax softmin roll unsqueeze size
z | z | z.abs() + 1.0: addcdiv addcmul
z.shape[0]: arange ones zeros
[z, z]: cat concat concatenate stack
z[:, None] | 0 | 1: swapaxes transpose
z[:, None] * z: tril triu t diagonal flatten squeeze
z[:, None] | z[None, :]: matmul mm
z[:, None] * z | z: mv
z[:, None, None] | z[:, None, None]: bmm
z[:, None] | z[:, None] + 1.0: cosine_similarity
z | z[:, None]: broadcast_tensors
z | 2 | z.shape[0]: expand repeat
z | z.shape[0] | 1: view
z | (z.shape[0], 1): reshape
z | z.shape[0]: new_ones new_zeros
z | -1.0 | 1.0: clamp clip hardtanh
z | 0.5: clamp_max clamp_min quantile full_like
z | 1: kthvalue topk
z | 0 | torch.argsort(z): index_select gather
z | 0 | 0: select
z | 0 | 0 | 1: narrow
torch.stack([z, z]) | 1: chunk split
torch.stack([z, z]): unbind
0.5: tensor scalar_tensor
z | torch.sign(z).detach(): hinge_embedding_loss soft_margin_loss
z | z + 1.0 | torch.sign(z): margin_ranking_loss
torch.cat([z, z]): diff
'i,j->ij' | z | z: einsum
z.dtype: finfo
(z.shape[0],) | 0.5: full
z | (z.shape[0],) | 0.5: new_full
z | [0.5, 0.25]: new_tensor
z | z + 1.0 | 0.5: lerp
0.0 | 1.0 | 5: linspace
torch.sigmoid(z) | 0.01: logit
z | z > 0 | 0.5: masked_fill
z[:, None]: normalize
z | (0,): flip
z[:, None] | (1, 0): permute
z | 0.1 | 20.0: threshold
z | torch.float64: to
z > 0 | z | 0.5 * z: where
"""
"""Arguments of the functions that take more than `z`, the tensor of a method first."""
_OF_METHODS = {"where": ["z", "z > 0", "0.5 * z"], "permute": ["z[:, None]", "1", "0"]}
_ARGUMENTS = {
    word: arguments.split(" | ")
    for arguments, words in (line.rsplit(": ", 1) for line in _TABLE.strip().splitlines())
    for word in words.split()
}
_SEVERAL = frozenset({"aminmax", "broadcast_tensors", "chunk", "cummax", "cummin", "kthvalue", "sort", "split"}) | {
    *("std_mean", "topk", "unbind", "var_mean"),
}
_NUMBERS = frozenset({"dim", "ndimension", "numel", "size"})
_HOMES = {
    "torch": vocabulary.TORCH_FUNCTIONS,
    "F": vocabulary.FUNCTIONAL,
    **{f"torch.{name}": words for name, words in vocabulary.TORCH_MODULES.items()},
}
_A_SOURCE = 6


def _call_method(name: str) -> str:
    tensor, *rest = _OF_METHODS.get(name, _ARGUMENTS.get(name, ["z"]))
    return f"({tensor}).{name}({', '.join(rest)})"


CALLS = {
    **{
        f"{home}.{name}": f"{home}.{name}({', '.join(_ARGUMENTS.get(name, ['z']))})"
        for home, words in _HOMES.items()
        for name in sorted(words)
    },
    **{f".{name}": _call_method(name) for name in sorted(vocabulary.METHODS - {"append"})},
}


def _use(name: str) -> str:
    word = name.rpartition(".")[2]
    if word in _NUMBERS or word == "finfo":
        return "w" if word in _NUMBERS else "w.eps"
    return f"({'w[0]' if word in _SEVERAL else 'w'} * 1.0).nan_to_num(0.0, 0.0, 0.0).mean()"


def _write_body(names: tuple[str, ...]) -> str:
    lines = (f"w = {CALLS[name]}\ntotal = total + 0.01 * {_use(name)}\n" for name in names)
    return "total = F.softplus(-beta * z)\n" + "".join(lines) + "return total"


_NAMES = tuple(CALLS)
_GROUPS = [_NAMES[start : start + _A_SOURCE] for start in range(0, len(_NAMES), _A_SOURCE)]
BODIES = {f"{names[0]} to {names[-1]}": _write_body(names) for names in _GROUPS}
"""Bodies of pairwise losses, each with some of the calls."""
