"""Sizes and counts as people write them, figures as people read them."""

from __future__ import annotations

import re

import pytest

from memtool.units import (
    COUNT_PATTERN,
    SIZE_PATTERN,
    format_count,
    format_duration,
    format_ns,
    format_size,
    parse_count,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (64, 64),
        ("0", 0),
        ("64", 64),
        ("64B", 64),
        ("4KiB", 4096),
        ("4 kib", 4096),
        (" 1.5MiB ", 1_572_864),
        ("2GiB", 2_147_483_648),
        ("1TiB", 1_099_511_627_776),
        ("0.5KiB", 512),
    ],
)
def test_sizes(text: str | int, expected: int) -> None:
    assert parse_size(text) == expected
    assert isinstance(text, int) or re.match(SIZE_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (1000, 1000),
        ("1000", 1000),
        ("200k", 200_000),
        ("2M", 2_000_000),
        ("1.5m", 1_500_000),
        ("3G", 3_000_000_000),
        ("1e6", 10**6),
        ("1.5E3", 1500),
    ],
)
def test_counts(text: str | int, expected: int) -> None:
    assert parse_count(text) == expected
    assert isinstance(text, int) or re.match(COUNT_PATTERN, text)


@pytest.mark.parametrize("text", ["", "KiB", "-4", "4KB", "4k", "1e3", "4 KiB more", "0x10", "½"])
def test_what_is_no_size_says_how_one_is_written(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a size such as 64, 4KiB or 1\.5MiB, is '"):
        parse_size(text)
    assert not re.match(SIZE_PATTERN, text)


@pytest.mark.parametrize("text", ["", "k", "-1", "2KiB", "1_000", "1,000", "1e", "1e-3"])
def test_what_is_no_count_says_how_one_is_written(text: str) -> None:
    with pytest.raises(ValueError, match="must be a count such as 1000, 200k or 2M, is '"):
        parse_count(text)


@pytest.mark.parametrize("text", ["0.5", "1.0001KiB"])
def test_no_part_of_a_byte(text: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number"):
        parse_size(text)


def test_fractions_are_exact() -> None:
    assert parse_count("1.000000001G") == 1_000_000_001


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (10_240, "10.0 KiB"),
        (102_400, "100 KiB"),
        (1_023_487, "999 KiB"),
        (1_023_488, "0.98 MiB"),
        (67_108_864, "64.0 MiB"),
        (3 << 30, "3.00 GiB"),
        (5 << 40, "5.00 TiB"),
        (-2048, "-2.00 KiB"),
    ],
)
def test_sizes_for_reading(count: float, expected: str) -> None:
    assert format_size(count) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0.00 ns"),
        (9.123, "9.12 ns"),
        (9.996, "10.0 ns"),
        (99.96, "100 ns"),
        (999.4, "999 ns"),
        (999.6, "1.00 µs"),
        (1_200, "1.20 µs"),
        (45_600_000, "45.6 ms"),
        (3_400_000_000, "3.40 s"),
        (-12.34, "-12.3 ns"),
    ],
)
def test_durations_for_reading(value: float, expected: str) -> None:
    assert format_ns(value) == expected


def test_counts_for_reading() -> None:
    assert [format_count(count) for count in (0, 999, 400_000, 12_345_678)] == ["0", "999", "400,000", "12,345,678"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.125, "0.12 s"),
        (39.529, "39.5 s"),
        (100, "2 min"),
        (3599, "1 h 0 min"),
        (39_529, "10 h 59 min"),
        (2_371_740, "27 d 11 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words
