"""The interval of a median, and ranks where intervals overlap."""

from __future__ import annotations

import pytest

from memtool.stats.summary import median_interval, ranks


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


def test_ranks_without_overlap() -> None:
    assert ranks([(30, 29, 31), (10, 9, 11), (20, 19, 21)]) == [3, 1, 2]


def test_overlapping_intervals_share_a_rank_and_the_next_one_is_skipped() -> None:
    assert ranks([(10, 9, 11), (11, 10, 12), (20, 19, 21)]) == [1, 1, 3]


def test_intervals_that_overlap_never_have_two_ranks() -> None:
    # The third overlaps the second, which overlaps the first.
    assert ranks([(10, 9, 11), (11.5, 10.5, 13), (12.5, 12, 14), (20, 14.5, 21)]) == [1, 1, 1, 4]


def test_a_wide_interval_joins_all_that_it_reaches_wherever_its_median_is() -> None:
    assert ranks([(1, 1, 2), (10, 0, 11), (5, 4, 6)]) == [1, 1, 1]


def test_touching_intervals_tie() -> None:
    assert ranks([(10, 9, 11), (12, 11, 13)]) == [1, 1]


def test_without_intervals_nothing_is_told_apart() -> None:
    assert ranks([(2, None, None), (1, None, None), (2, None, None)]) == [1, 1, 1]
    assert ranks([(1, 0.9, 1.1), (9, 8, 10), (5, None, None)]) == [1, 1, 1]


def test_nothing_has_no_ranks() -> None:
    assert ranks([]) == []
