"""The log-linear histogram: its buckets, and percentiles by nearest rank."""

from __future__ import annotations

import math

import pytest

from memtool.passes import histogram


@pytest.mark.parametrize(
    ("ticks", "bucket", "low", "high"),
    [
        (0, 0, 0, 0),
        (127, 127, 127, 127),
        (128, 128, 128, 128),
        (255, 255, 255, 255),
        (256, 256, 256, 257),
        (257, 256, 256, 257),
        (258, 257, 258, 259),
        (511, 383, 510, 511),
        (512, 384, 512, 515),
        (1000, 506, 1000, 1003),
        ((1 << 40) - 1, 4351, (1 << 40) - (1 << 32), (1 << 40) - 1),
    ],
)
def test_a_value_is_in_a_bucket_whose_bounds_enclose_it(ticks: int, bucket: int, low: int, high: int) -> None:
    assert histogram.bucket_of(ticks) == bucket
    assert histogram.bounds(bucket) == (low, high)


def test_there_are_4352_buckets_and_the_last_takes_everything_beyond() -> None:
    assert histogram.BUCKETS == 4352
    assert histogram.bucket_of(1 << 40) == 4351
    assert histogram.bucket_of(1 << 63) == 4351


def test_buckets_follow_each_other_without_gap_or_overlap() -> None:
    for bucket in range(histogram.BUCKETS - 1):
        assert histogram.bounds(bucket)[1] + 1 == histogram.bounds(bucket + 1)[0]


def test_a_bucket_is_never_wider_than_one_128th_of_its_values() -> None:
    for bucket in range(histogram.BUCKETS):
        low, high = histogram.bounds(bucket)
        assert (high - low) * 128 <= low


def test_merging_adds_counts() -> None:
    assert histogram.merge([[(3, 1), (5, 2)], [(5, 10)], []]) == {3: 1, 5: 12}


@pytest.mark.parametrize(
    ("q", "expected"),
    [(50.0, 1), (90.0, 1), (99.0, 1), (99.9, 1), (99.91, 2), (99.99, 2), (100.0, 2)],
)
def test_99_9_percent_of_a_thousand_is_the_999th_value(q: float, expected: float) -> None:
    assert histogram.percentile({1: 999, 2: 1}, q, 2) == expected


def test_percentiles_are_nearest_ranks_never_interpolated() -> None:
    assert histogram.percentile({10: 1, 20: 1}, 50.0, 20) == 10
    assert histogram.percentile({10: 1, 20: 1, 30: 1}, 50.0, 30) == 20
    assert histogram.percentile({10: 1, 20: 1}, 50.1, 20) == 20
    assert histogram.percentile({7: 1}, 99.99, 7) == 7


def test_a_percentile_is_the_middle_of_its_bucket() -> None:
    assert histogram.percentile({256: 1}, 50.0, 257) == 256.5
    assert histogram.percentile({506: 1}, 50.0, 1003) == 1001.5


@pytest.mark.parametrize("empty", [{}, {4: 0}])
def test_a_histogram_without_values_has_no_percentiles(empty: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="without values"):
        histogram.percentile(empty, 50.0, 0)


def test_no_percentile_lies_above_the_exact_maximum() -> None:
    # 1,000 ticks are in the bucket from 1,000 to 1,003, whose middle nothing has reached.
    assert histogram.percentile({506: 1}, 50.0, 1000) == 1000
    assert histogram.percentile({20: 9_999, 506: 1}, 99.99, 1001) == 20
    assert histogram.percentile({20: 9_998, 506: 2}, 99.99, 1001) == 1001


def readings(step: float, most: int) -> dict[int, int]:
    """Return what a clock says of lengths up to ``most`` steps of ``step`` ticks, rounded both ways."""
    ticks = [round_(step * count) for count in range(most + 1) for round_ in (math.floor, math.ceil)]
    return {histogram.bucket_of(tick): 5 for tick in ticks}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({0: 900, 73: 60, 74: 40}, 73.5),  # less than a step, or one
        ({73: 60, 74: 40, 147: 3}, 73.5),  # one step, or two
        ({0: 5, 24: 20, 25: 19, 48: 3, 49: 5, 73: 5, 98: 2}, 24.4),
        (readings(24.45, 10), 24.45),
        (readings(73.35, 40), 73.35),
        (readings(333.0, 12), 333.0),  # in buckets of several ticks
        (readings(30.0, 100), 30.0),
    ],
)
def test_the_step_of_a_clock_is_what_all_readings_are_multiples_of(seen: dict[int, int], expected: float) -> None:
    assert histogram.step(seen) == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({10: 1, 14: 1, 16: 3}, 2),
        ({10: 1, 11: 0, 14: 1}, 4),
        ({10: 5}, 1),
        ({}, 1),
        ({300: 1, 301: 1}, 1),
        ({26: 900, 28: 90}, 2),  # two neighbours are no proof of a step of 27
        ({26: 900, 28: 90, 30: 9, 54: 1}, 2),
        (dict.fromkeys(range(26, 400, 2), 7), 2),
        (dict.fromkeys(range(18, 256), 1), 1),
    ],
)
def test_the_step_of_a_fine_clock_is_the_smallest_difference(seen: dict[int, int], expected: int) -> None:
    assert histogram.step(seen) == expected


def test_readings_a_step_apart_differ_by_a_tick_more_or_less() -> None:
    assert [histogram.is_within_a_step(ticks, 73.4) for ticks in (0, 73, 74, 146)] == [True, True, True, False]
