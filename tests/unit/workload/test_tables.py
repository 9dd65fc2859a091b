"""Tables of distributions: exact where they are discrete, right to many digits where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtool.workload.language import tables

KNOTS = 24 * 32 + 1
ONE = 1 << 16
MEDIAN = 3 + KNOTS - 1


def upper(table: Sequence[int], octave: int) -> float:
    """Return the value that a share of 2^-octave of the draws exceeds."""
    return table[3 + KNOTS + (25 - octave) * 32] / ONE


def lower(table: Sequence[int], octave: int) -> float:
    return table[3 + (25 - octave) * 32] / ONE


def test_a_quantile_table_has_a_knot_for_every_thirty_second_of_an_octave() -> None:
    table = tables.exponential(Fraction(1000), 1, tables.LARGEST)
    assert table[:3] == [tables.QUANTILE, 1, 1 << 47]
    assert len(table) == 3 + 2 * KNOTS
    assert table[3 : 3 + KNOTS] == sorted(table[3 : 3 + KNOTS])
    assert table[3 + KNOTS :] == sorted(table[3 + KNOTS :], reverse=True)


def test_exponential() -> None:
    table = tables.exponential(Fraction(1000), 1, tables.LARGEST)
    # 1000 ln 2, the median, from either side; and its multiples in the upper tail.
    assert table[MEDIAN] == table[-1] == int(Decimal("693.1471805599453094") * ONE)
    assert upper(table, 10) == pytest.approx(6931.4718, abs=1e-3)
    assert upper(table, 25) == pytest.approx(17328.6795, abs=1e-3)
    assert lower(table, 2) == pytest.approx(287.6821, abs=1e-3)
    assert lower(table, 25) == 1.0


def test_pareto() -> None:
    table = tables.pareto(Fraction(1000), Fraction(2), 1000, 20_000)
    assert table[MEDIAN] / ONE == pytest.approx(1414.2136, abs=1e-3)
    assert upper(table, 4) == pytest.approx(4000, abs=1e-3)
    assert upper(table, 12) == 20_000
    assert lower(table, 2) == pytest.approx(1154.7005, abs=1e-3)


def test_lognormal() -> None:
    table = tables.lognormal(Fraction(64), Fraction(1), 1, 4096)
    assert table[MEDIAN] / ONE == 64
    assert upper(table, 2) == pytest.approx(125.6340, abs=1e-3)
    assert lower(table, 2) == pytest.approx(32.6026, abs=1e-3)
    assert upper(table, 25) == 4096


def test_normal() -> None:
    table = tables.normal(Fraction(100), Fraction(10), 60, 1 << 47)
    assert table[MEDIAN] / ONE == 100
    assert upper(table, 3) == pytest.approx(111.5035, abs=1e-3)
    assert lower(table, 3) == pytest.approx(88.4965, abs=1e-3)
    assert lower(table, 25) == 60


@pytest.mark.parametrize(
    ("p", "score"),
    [
        ("0.5", 0),
        ("0.25", 0.674489750196082),
        ("0.05", 1.644853626951473),
        ("0.025", 1.959963984540054),
        ("0.001", 3.090232306167814),
        ("1e-9", 5.997807015007687),
        ("1e-12", 7.034483825301132),
    ],
)
def test_normal_scores_are_those_of_published_tables(p: str, score: float) -> None:
    assert float(tables.normal_score(Decimal(p))) == pytest.approx(score, rel=1e-13, abs=1e-15)


WEIGHTS = st.lists(st.fractions(min_value=Fraction(1, 10**6), max_value=10**6), min_size=2, max_size=30)


@given(WEIGHTS)
def test_an_alias_table_keeps_every_probability(weights: list[Fraction]) -> None:
    table = tables.discrete(list(enumerate(weights)))
    count = len(weights)
    assert table[:2] == [tables.DISCRETE, count]
    assert table[2 : 2 + count] == list(range(count))
    thresholds, aliases = table[2 + count : 2 + 2 * count], table[2 + 2 * count :]
    result = [Fraction(0)] * count
    for column, (threshold, alias) in enumerate(zip(thresholds, aliases, strict=True)):
        stays = Fraction(threshold, 2**64 - 1)
        result[column] += stays / count
        result[alias] += (1 - stays) / count
    total = sum(weights)
    for share, weight in zip(result, weights, strict=True):
        assert abs(share - weight / total) < Fraction(1, 2**60)


def test_a_choice_of_one_is_a_constant() -> None:
    assert tables.discrete({64: Fraction(3)}) == [tables.CONSTANT, 64]


def test_ranges_keep_both_ends() -> None:
    table = tables.ranges([(1, 8, Fraction(1)), (100, 100, Fraction(1))])
    assert table == [tables.RANGES, 2, 1, 100, 2**64 - 1, 2**64 - 1, 0, 1, 8, 1]
