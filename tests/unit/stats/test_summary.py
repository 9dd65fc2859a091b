"""The interval of a median, and ranks where intervals overlap."""

from __future__ import annotations

import pytest

from memtool.stats.summary import median_interval


@pytest.mark.parametrize("count", range(6))
def test_below_six_samples_there_is_no_interval(count: int) -> None:
    assert median_interval([1.0] * count) == (None, None)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # The binomial table: with n samples, order statistics k and n + 1 - k enclose the median with at least 95 %.
    [(6, 1, 6), (7, 1, 7), (8, 1, 8), (9, 2, 8), (10, 2, 9), (12, 3, 10), (15, 4, 12)],
)
def test_the_interval_is_of_order_statistics(count: int, low: float, high: float) -> None:
    samples = [float(value) for value in range(1, count + 1)]
    assert median_interval(samples) == (low, high)
    assert median_interval(samples[::-1]) == (low, high)


def test_outliers_move_only_the_bound_that_they_are() -> None:
    assert median_interval([5, 5, 5, 5, 5, 9000]) == (5, 9000)
    assert median_interval([1, 2, 3, 4, 5, 6, 7, 8, 9, 9000]) == (2, 9)


def test_equal_samples_are_their_own_interval() -> None:
    assert median_interval([7.5] * 10) == (7.5, 7.5)


def test_negative_samples_are_samples() -> None:
    assert median_interval([-3, -2, -1, 0, 1, 2]) == (-3, 2)
