"""Distributions as tables of integers for the native generator (layouts: engine/generate/random.hpp).

No event depends on binary floating point, because exp, ln and pow of the C library differ between machines, even
between processors of one kind. Quantiles are computed with ``decimal``, whose exp and ln are correctly rounded, and are
truncated to whole multiples of 2^-16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from functools import cache, lru_cache
from math import lcm

OCTAVES = 24
STEP_BITS = 5
_STEPS = 1 << STEP_BITS
_FIXED_POINT = 1 << 16
_ALWAYS = 2**64 - 1
_SHAPES_KEPT = 32
_CONTEXT = Context(prec=24, rounding=ROUND_HALF_EVEN)

CONSTANT, UNIFORM, DISCRETE, QUANTILE, RANGES, CYCLE = range(6)
LARGEST = 1 << 47
"""Largest value of a law: beyond it a fixed-point knot would not fit into 64 bits."""


def constant(value: int) -> list[int]:
    """Return the table of a law that always gives ``value``."""
    return [CONSTANT, value]


def uniform(low: int, high: int) -> list[int]:
    """Return the table of whole numbers from ``low`` to ``high``, both included."""
    return [UNIFORM, low, high]


def probability(share: Fraction) -> int:
    """Return a probability as the threshold that a 64-bit draw must not exceed."""
    return int(share * _ALWAYS)


def discrete(weights: Mapping[int, Fraction] | Sequence[tuple[int, Fraction]]) -> list[int]:
    """Return the table of values with weights, all positive."""
    pairs = list(weights.items()) if isinstance(weights, Mapping) else list(weights)
    values = [value for value, _ in pairs]
    if len(values) == 1:
        return constant(values[0])
    return [DISCRETE, len(values), *values, *_alias([weight for _, weight in pairs])]


def ranges(bands: Sequence[tuple[int, int, Fraction]]) -> list[int]:
    """Return the table of bins (low, high, weight): a bin is drawn by weight, then a value in it, ends included."""
    lows = [low for low, _, _ in bands]
    widths = [high - low + 1 for low, high, _ in bands]
    return [RANGES, len(bands), *lows, *_alias([weight for _, _, weight in bands]), *widths]


def cycle(entries: Sequence[tuple[int, int]]) -> list[int]:
    """Return the table of a cycle of (count, value): this many times the value, then the next entry, over and over."""
    return [CYCLE, len(entries), *(value for _, value in entries), *(count for count, _ in entries)]


def _alias(weights: Sequence[Fraction]) -> list[int]:
    """Return the thresholds, then the aliases, of columns with these weights.

    A. J. Walker, "An efficient method for generating discrete random variables with general distributions", ACM TOMS
    3, 1977; built as M. D. Vose describes, IEEE TSE 17, 1991, in exact whole numbers.
    """
    count = len(weights)
    scale = count * lcm(*(weight.denominator for weight in weights))
    shares = [int(weight * scale) for weight in weights]
    whole = sum(shares) // count
    thresholds = [_ALWAYS] * count
    aliases = list(range(count))
    small = [index for index, share in enumerate(shares) if share < whole]
    large = [index for index, share in enumerate(shares) if share >= whole]
    while small and large:
        little, much = small.pop(), large[-1]
        thresholds[little] = shares[little] * _ALWAYS // whole
        aliases[little] = much
        shares[much] -= whole - shares[little]
        if shares[much] < whole:
            small.append(large.pop())
    return [*thresholds, *aliases]


def exponential(mean: Fraction, low: int, high: int) -> list[int]:
    """Return the table of an exponential law with this mean, clamped to [low, high]."""
    scale = -_decimal(mean)
    return _tabulate(_survival_logarithms(), lambda logarithm: scale * logarithm, low, high)


def pareto(minimum: Fraction, alpha: Fraction, low: int, high: int) -> list[int]:
    """Return the table of a Pareto law, P(X > x) = (minimum / x)^alpha, clamped to [low, high]."""
    least = _decimal(minimum)
    return _tabulate(_survival_powers(alpha), lambda power: least * power, low, high)


def lognormal(median: Fraction, sigma: Fraction, low: int, high: int) -> list[int]:
    """Return the table of a log-normal law with this median and deviation of the logarithm, clamped to [low, high]."""
    middle = _decimal(median)
    return _tabulate(_normal_powers(sigma), lambda power: middle * power, low, high)


def normal(mean: Fraction, deviation: Fraction, low: int, high: int) -> list[int]:
    """Return the table of a normal law, clamped to [low, high]."""
    middle, spread = _decimal(mean), _decimal(deviation)
    return _tabulate(_normal_scores(), lambda score: middle + spread * score, low, high)


def mean(table: Sequence[int]) -> float:
    """Return the mean of the draws from a continuous law's table, with the same clamping of the tails."""
    low, high, knots = table[1], table[2], table[3:]
    half = len(knots) // 2
    total = 0.0
    for tail in (knots[:half], knots[half:]):
        values = [min(max(knot / _FIXED_POINT, low), high) for knot in tail]
        shares = [float(share) for share in _tail_probabilities()]
        total += values[0] * shares[0]
        total += sum(
            (shares[index + 1] - shares[index]) * (values[index] + values[index + 1]) / 2 for index in range(half - 1)
        )
    return total


def _decimal(value: Fraction) -> Decimal:
    return _CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _tabulate(knots: Sequence[Decimal], quantile: Callable[[Decimal], Decimal], low: int, high: int) -> list[int]:
    """Return the quantile function at every knot, clamped, in fixed point."""
    least, most = Decimal(low), Decimal(high)
    with localcontext(_CONTEXT):
        values = [quantile(knot) for knot in knots]
        return [
            QUANTILE,
            low,
            high,
            *(int((least if value < least else most if value > most else value) * _FIXED_POINT) for value in values),
        ]


@cache
def _tail_probabilities() -> tuple[Decimal, ...]:
    """Return the probability of a tail at each of its knots, from 2^-(OCTAVES + 1) to 1/2."""
    shares = [
        Fraction(_STEPS + step, _STEPS << (octave + 2))
        for octave in range(OCTAVES - 1, -1, -1)
        for step in range(_STEPS)
    ]
    return tuple(_decimal(share) for share in [*shares, Fraction(1, 2)])


@cache
def _survival_logarithms() -> tuple[Decimal, ...]:
    """Return ln P(X > x) at the knots of the lower tail, then at those of the upper tail."""
    with localcontext(_CONTEXT):
        tail = _tail_probabilities()
        return tuple((1 - p).ln() for p in tail) + tuple(p.ln() for p in tail)


@cache
def _normal_scores() -> tuple[Decimal, ...]:
    """Return the standard normal quantile at the knots of the lower tail, then at those of the upper tail."""
    with localcontext(_CONTEXT):
        upper = tuple(normal_score(p) for p in _tail_probabilities())
        return tuple(-score for score in upper) + upper


# A power takes ten times as long as the rest of a knot, and laws of the same shape share their powers.
@lru_cache(maxsize=_SHAPES_KEPT)
def _survival_powers(alpha: Fraction) -> tuple[Decimal, ...]:
    """Return P(X > x) to the power of -1/alpha at the knots of both tails."""
    slope = -_decimal(1 / alpha)
    with localcontext(_CONTEXT):
        return tuple((logarithm * slope).exp() for logarithm in _survival_logarithms())


@lru_cache(maxsize=_SHAPES_KEPT)
def _normal_powers(sigma: Fraction) -> tuple[Decimal, ...]:
    """Return e to the power of ``sigma`` standard normal quantiles at the knots of both tails."""
    spread = _decimal(sigma)
    with localcontext(_CONTEXT):
        return tuple((spread * score).exp() for score in _normal_scores())


# Rational approximations of the normal quantile: M. J. Wichura, "Algorithm AS 241: the percentage points of the
# normal distribution", Applied Statistics 37, 1988 (PPND16, accurate to 1 in 10^16). Numerator, then denominator,
# highest power first.
_CENTRE = (
    "2509.0809287301226727 33430.575583588128105 67265.770927008700853 45921.953931549871457 "
    "13731.693765509461125 1971.5909503065514427 133.14166789178437745 3.387132872796366608",
    "5226.495278852545925 28729.085735721942674 39307.89580009271061 21213.794301586595867 "
    "5394.1960214247511077 687.1870074920579083 42.313330701600911252 1",
)
_NEAR = (
    "7.7454501427834140764e-4 0.0227238449892691845833 0.24178072517745061177 1.27045825245236838258 "
    "3.64784832476320460504 5.7694972214606914055 4.6303378461565452959 1.42343711074968357734",
    "1.05075007164441684324e-9 5.475938084995344946e-4 0.0151986665636164571966 0.14810397642748007459 "
    "0.68976733498510000455 1.6763848301838038494 2.05319162663775882187 1",
)
_FAR = (
    "2.01033439929228813265e-7 2.71155556874348757815e-5 0.0012426609473880784386 0.026532189526576123093 "
    "0.29656057182850489123 1.7848265399172913358 5.4637849111641143699 6.6579046435011037772",
    "2.04426310338993978564e-15 1.4215117583164458887e-7 1.8463183175100546818e-5 7.868691311456132591e-4 "
    "0.0148753612908506148525 0.13692988092273580531 0.59983220655588793769 1",
)


def normal_score(p: Decimal) -> Decimal:
    """Return how many standard deviations above the mean the upper tail holds a share ``p``; 0 < p <= 1/2."""
    distance = Decimal("0.5") - p
    if distance <= Decimal("0.425"):
        return distance * _ratio(_CENTRE, Decimal("0.180625") - distance * distance)
    r = (-p.ln()).sqrt()
    if r <= 5:
        return _ratio(_NEAR, r - Decimal("1.6"))
    return _ratio(_FAR, r - 5)


def _ratio(coefficients: tuple[str, str], x: Decimal) -> Decimal:
    return _polynomial(coefficients[0], x) / _polynomial(coefficients[1], x)


def _polynomial(coefficients: str, x: Decimal) -> Decimal:
    value = Decimal(0)
    for coefficient in coefficients.split():
        value = value * x + Decimal(coefficient)
    return value
