"""The words of the loss language: which names, functions, methods and strings a source may use.

Covered: what may stand in a source. Not covered: whether the compiler can lower each use of it, or what it costs.
"""

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LIBRARIES = frozenset({"torch", "F", "math"})
"""What is in scope without an import; every permitted import is rewritten to these three names."""

BUILTINS = _words("abs bool enumerate float int len list max min range round sum tuple zip")

TORCH_FUNCTIONS = _words(
    """
    abs absolute acos add addcdiv addcmul all amax amin aminmax any arange arctan argmax argmin argsort asin
    atan atan2 bmm broadcast_tensors cat ceil celu chunk clamp clamp_max clamp_min clip clone
    concat concatenate cos cosh cosine_similarity count_nonzero cummax cummin cumprod cumsum detach diagonal diff
    div divide dot einsum eq erf erfc erfinv exp exp2 expm1 finfo flatten flip float_power floor floor_divide
    fmax fmin fmod frac full full_like gather ge greater greater_equal gt heaviside hypot index_select
    isclose isfinite isinf isnan kthvalue le lerp less less_equal linspace log log10 log1p log2 log_softmax
    logaddexp logaddexp2 logcumsumexp logical_and logical_not logical_or logical_xor logit logsumexp lt masked_fill
    matmul max maximum mean median min minimum mm mul multiply mv nan_to_num nanmean nanmedian
    nansum narrow ne neg negative norm not_equal ones ones_like outer permute positive pow prod quantile reciprocal
    relu remainder reshape roll round rsqrt rsub scalar_tensor select selu sigmoid sign sin
    sinh softmax sort split sqrt square squeeze stack std std_mean sub subtract sum swapaxes t tan tanh
    tensor topk transpose tril triu true_divide trunc unbind unsqueeze var var_mean where xlogy zeros
    zeros_like
    """
)
TORCH_VALUES = _words("bfloat16 bool double e float float16 float32 float64 half inf int int32 int64 long nan pi")
TORCH_MODULES: Mapping[str, frozenset[str]] = {
    "special": _words(
        """
        erf erfc erfinv exp2 expit expm1 log1p log_ndtr log_softmax logit logsumexp ndtr
        round softmax xlogy
        """
    ),
    "linalg": frozenset({"vector_norm"}),
}
FUNCTIONAL = _words(
    """
    binary_cross_entropy_with_logits celu cosine_similarity elu gelu hardsigmoid hardswish hardtanh
    hinge_embedding_loss huber_loss kl_div l1_loss leaky_relu log_softmax logsigmoid margin_ranking_loss mish mse_loss
    normalize relu relu6 selu sigmoid silu smooth_l1_loss soft_margin_loss softmax softmin softplus softsign tanh
    tanhshrink threshold
    """
)
MATH_FUNCTIONS = _words(
    """
    acos asin atan atan2 ceil copysign cos cosh erf erfc exp expm1 fabs floor hypot isfinite isnan log log10 log1p log2
    pow sin sinh sqrt tan tanh
    """
)
MATH_VALUES = _words("e inf pi tau")

METHODS = (
    TORCH_FUNCTIONS
    - _words("""
        arange broadcast_tensors cat celu concat concatenate cosine_similarity einsum finfo full full_like
        linspace ones ones_like rsub scalar_tensor selu stack std_mean tensor var_mean zeros zeros_like
        """)
) | _words(
    """
    append bool contiguous dim double expand expand_as float half int long ndimension new_full new_ones new_tensor
    new_zeros numel repeat size to type_as view view_as
    """
)
"""Methods of tensors, and `append` of lists."""
PROPERTIES = _words("T device dtype eps indices max min mT ndim shape tiny values")
"""What may be read of a tensor, of torch.finfo(…) and of what sort, min or max return."""
VIEWS = _words(
    """
    T mT chunk contiguous detach diagonal double expand expand_as flatten float narrow permute
    reshape select split squeeze swapaxes t to transpose type_as unbind unsqueeze view view_as
    """
)
"""Methods and properties whose result may share the memory of the tensor."""
SHAPE_PROPERTIES = _words("device dtype ndim shape")
SHAPE_METHODS = _words("dim is_floating_point ndimension numel size")

STRING_ARGUMENTS: Mapping[str, frozenset[str]] = {
    "reduction": frozenset({"none", "mean", "sum", "batchmean"}),
    "rounding_mode": frozenset({"floor", "trunc"}),
    "interpolation": frozenset({"linear", "lower", "higher", "nearest", "midpoint"}),
    "approximate": frozenset({"none", "tanh"}),
}
ARGUMENTS_WITH_SIDE_EFFECTS = frozenset({"out", "inplace"})
FORBIDDEN_ARGUMENTS = frozenset(
    {"generator", "pin_memory", "requires_grad", "layout", "memory_format", "non_blocking", "training"}
)
SIZED = _words(
    """
    arange expand full linspace new_full new_ones new_zeros ones repeat reshape
    view zeros
    """
)
"""Calls whose integer arguments say how much memory they take."""

RANDOM = _words(
    """
    Generator alpha_dropout bernoulli cauchy_ dropout dropout1d dropout2d exponential_ feature_alpha_dropout
    geometric_ gumbel_softmax initial_seed log_normal_ manual_seed multinomial normal normal_ poisson rand rand_like
    randint randint_like randn randn_like random random_ randperm rrelu seed uniform_
    """
)
TO_NUMBER = _words("cpu cuda data_ptr item numpy tolist")
STATEFUL = _words(
    """
    backward data enable_grad grad inference_mode register_hook requires_grad requires_grad_ retain_grad
    set_grad_enabled
    """
)
INSTEAD: Mapping[str, str] = {
    "isinstance": "rely on the types of the inputs, which are fixed",
    "print": "leave the output out",
    "pow": "write x ** y",
    "sorted": "use torch.sort",
    "reversed": "use torch.flip or list the values in the other order",
    "any": "use torch.any or write the conditions out with or",
    "all": "use torch.all or write the conditions out with and",
    "map": "write a list comprehension",
    "filter": "write a list comprehension",
    "np": "use torch for tensors and math for numbers",
    "numpy": "use torch for tensors and math for numbers",
    "nn": "use F for torch.nn.functional",
    "hasattr": "make what it looks for a keyword parameter with a numeric default",
    "getattr": "make what it looks for a keyword parameter with a numeric default",
    "setattr": "keep what is computed in local variables",
    "globals": "keep what is computed in local variables",
    "is_tensor": "rely on the types of the inputs, which are fixed",
    "unique": "compare all rows with each other and use a mask, as in (group[:, None] == group[None, :])",
    "nonzero": "use torch.where with three arguments or multiply by a mask",
    "masked_select": "use torch.where with three arguments or multiply by a mask",
    "binary_cross_entropy": "use F.binary_cross_entropy_with_logits",
    "logsigmoid": "use F.logsigmoid",
    "broadcast_to": "use x.expand(…)",
    "cross_entropy": "use F.log_softmax(x, dim) and torch.gather, or F.logsigmoid for two classes",
    "hstack": "use torch.cat([a, b])",
    "inner": "use (a * b).sum(-1)",
    "movedim": "use x.transpose(a, b)",
    "nanquantile": "use torch.quantile",
    "repeat_interleave": "use x[:, None].expand(-1, n).reshape(-1)",
    "sgn": "use torch.sign",
    "sum_to_size": "use x.sum(dim, keepdim=True)",
    "take_along_dim": "use torch.gather",
    "tile": "use x.repeat(…)",
    "unflatten": "use x.view(…)",
    "vstack": "use torch.stack([a, b])",
    "no_grad": "write `with torch.no_grad():` as a block of its own",
}
"""What to write in the place of words that language models reach for."""
