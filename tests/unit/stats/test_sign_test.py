"""Fair coins, against SciPy's binomial distribution and its test of a quantile."""

from __future__ import annotations

import math
from typing import Any

import pytest

from memtool.stats import sign_test


@pytest.mark.parametrize("coins", [0, 1, 2, 3, 9, 10, 51, 1000, 1001, 9999, 100_000])
def test_at_most_so_many_heads(coins: int) -> None:
    from scipy.stats import binom

    middle, step = coins // 2, max(1, coins // 40)
    for heads in {-1, 0, 1, middle - step, middle - 1, middle, middle + 1, middle + step, coins - 1, coins}:
        expected = float(binom.cdf(heads, coins, 0.5))
        assert sign_test.at_most(heads, coins) == pytest.approx(expected, rel=1e-9, abs=1e-300), heads


def test_few_coins_are_exact() -> None:
    assert sign_test.at_most(3, 10) == 176 / 1024
    assert sign_test.at_most(9, 10) == 1023 / 1024


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.975])
def test_intervals_are_those_of_the_quantile_test(confidence: float) -> None:
    from scipy.stats import quantile_test

    for count in [*range(1, 41), 999, 1000, 1001, 5000]:
        samples = [(number * 7919) % 10_007 / 8 for number in range(count)]
        bounds: Any = quantile_test(samples, p=0.5).confidence_interval(confidence)
        expected = None if math.isnan(bounds.low) or math.isnan(bounds.high) else (bounds.low, bounds.high)
        assert sign_test.interval(samples, confidence) == expected, count


def test_nothing_has_no_interval() -> None:
    assert sign_test.interval([], 0.95) is None
