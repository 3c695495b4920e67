"""The special functions that the statistics need: what scipy would give, without an import that the API would pay for.

Formulae by their numbers in the NIST Digital Library of Mathematical Functions (dlmf.nist.gov).
"""

import math

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
"""B₂, B₄, … B₁₄."""
_FAR = 10.0
"""From here on the asymptotic series are good to 1e-15."""


def digamma(x: float) -> float:
    """ψ, the derivative of log Γ, of what is above 0."""
    _refuse_unless_positive(x)
    below = 0.0
    while x < _FAR:  # 5.5.2
        below += 1 / x
        x += 1
    series = sum(b / (2 * k * x ** (2 * k)) for k, b in enumerate(_BERNOULLI, start=1))
    return math.log(x) - 1 / (2 * x) - series - below  # 5.11.2


def trigamma(x: float) -> float:
    """ψ', the second derivative of log Γ, of what is above 0."""
    _refuse_unless_positive(x)
    below = 0.0
    while x < _FAR:
        below += 1 / (x * x)
        x += 1
    series = sum(b / x ** (2 * k + 1) for k, b in enumerate(_BERNOULLI, start=1))
    return 1 / x + 1 / (2 * x * x) + series + below  # 5.15.8


def invert_trigamma(y: float) -> float:
    """The x whose trigamma this is."""
    _refuse_unless_positive(y)
    # 1/x < ψ'(x) < 1/x + 1/x², and ψ' falls.
    low, high = 1 / y, (1 + math.sqrt(1 + 4 * y)) / (2 * y)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if trigamma(middle) > y else (low, middle)
    return high


def incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), regularised: the share of a beta distribution below x."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)  # 8.17.4; the fraction converges quickly below only
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) / (a * _beta_fraction(a, b, x))


def _beta_fraction(a: float, b: float, x: float) -> float:
    """1 + d₁/(1 + d₂/(1 + …)) of 8.17.22, by Lentz's method (3.10(iii))."""
    value = upper = 1.0
    lower = 0.0
    for step in range(1, 10_000):
        half, is_odd = divmod(step, 2)
        spread = a + 2 * half
        if is_odd:
            factor = -(a + half) * (a + b + half) * x / (spread * (spread + 1))
        else:
            factor = half * (b - half) * x / ((spread - 1) * spread)
        lower = 1 / _off_zero(1 + factor * lower)
        upper = _off_zero(1 + factor / upper)
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            return value
    raise ArithmeticError(f"The incomplete beta function of {a}, {b} and {x} does not converge.")


def _off_zero(value: float) -> float:
    return value or 1e-300


def _refuse_unless_positive(x: float) -> None:
    if not 0 < x < math.inf:
        raise ValueError(f"Must be above 0 and finite, not {x}.")
