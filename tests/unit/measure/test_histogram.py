"""The log-linear histogram: its buckets, and percentiles by nearest rank."""

from __future__ import annotations

import pytest

from memtool.measure import histogram


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
    assert histogram.percentile({1: 999, 2: 1}, q) == expected


def test_percentiles_are_nearest_ranks_never_interpolated() -> None:
    assert histogram.percentile({10: 1, 20: 1}, 50.0) == 10
    assert histogram.percentile({10: 1, 20: 1, 30: 1}, 50.0) == 20
    assert histogram.percentile({10: 1, 20: 1}, 50.1) == 20
    assert histogram.percentile({7: 1}, 99.99) == 7


def test_a_percentile_is_the_middle_of_its_bucket() -> None:
    assert histogram.percentile({256: 1}, 50.0) == 256.5
    assert histogram.percentile({506: 1}, 50.0) == 1001.5


@pytest.mark.parametrize("empty", [{}, {4: 0}])
def test_a_histogram_without_values_has_no_percentiles(empty: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="without values"):
        histogram.percentile(empty, 50.0)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({10: 1, 14: 1, 16: 3}, 2),
        ({10: 1, 11: 0, 14: 1}, 4),
        ({10: 5}, 1),
        ({}, 1),
        ({300: 1, 301: 1}, 1),
        ({20: 1, 46: 1, 300: 1}, 26),
    ],
)
def test_the_resolution_is_the_smallest_step_between_exact_values(seen: dict[int, int], expected: int) -> None:
    assert histogram.resolution(seen) == expected
