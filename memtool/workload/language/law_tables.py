"""Laws of a workload file as tables for the generator, and the means of their draws."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from memtool.workload.language import tables
from memtool.workload.language.laws import Law

_MOST_KEPT = 256
_kept: dict[tuple[int, int], tuple[Law[Any], list[int]]] = {}
"""(id of a law, least) -> the law itself, which keeps the id valid, and its table."""


def law_table(law: Law[Any], least: int) -> Sequence[int]:
    """Return the table of a law; draws of an unbounded law below ``least`` become ``least``.

    The tables of recently used laws are cached, because a thousand threads, or the cells of a matrix, share their laws.
    """
    key = (id(law), least)
    if key not in _kept:
        while len(_kept) >= _MOST_KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = (law, _compute(law, least))
    return _kept[key][1]


def _compute(law: Law[Any], least: int) -> list[int]:
    if law.constant is not None:
        return tables.constant(law.constant)
    if law.uniform is not None:
        return tables.uniform(*law.uniform)
    if law.choice is not None:
        return tables.discrete(law.choice)
    if law.histogram is not None:
        return tables.ranges(law.histogram)
    if law.cycle is not None:
        return tables.cycle(law.cycle)
    if law.pareto is not None:
        minimum, most = law.pareto.minimum, _or(law.pareto.max, tables.LARGEST)
        return tables.pareto(Fraction(minimum), law.pareto.alpha, max(least, minimum), most)
    bounded = law.exponential or law.lognormal or law.normal
    assert bounded is not None
    bounds = (_or(bounded.min, least), _or(bounded.max, tables.LARGEST))
    if law.exponential is not None:
        return tables.exponential(Fraction(law.exponential.mean), *bounds)
    if law.lognormal is not None:
        return tables.lognormal(Fraction(law.lognormal.median), law.lognormal.sigma, *bounds)
    assert law.normal is not None
    return tables.normal(Fraction(law.normal.mean), law.normal.deviation, *bounds)


def _or(bound: int | None, default: int) -> int:
    return default if bound is None else bound


def is_tabulated(law: Law[Any]) -> bool:
    """Return whether a law's table has a knot for each step of its quantiles, which take milliseconds to compute."""
    return any(shape is not None for shape in (law.exponential, law.lognormal, law.normal, law.pareto))


def law_mean(law: Law[Any], least: int) -> float:
    """Return the mean of a law's draws; infinite for a lifetime that ends with the run or at a given moment."""
    if getattr(law, "forever", None) or getattr(law, "until", None):
        return float("inf")
    if law.constant is not None:
        return float(law.constant)
    if law.uniform is not None:
        low, high = law.uniform
        return float(low + high) / 2
    if law.choice is not None:
        return float(sum(value * weight for value, weight in law.choice.items()) / sum(law.choice.values()))
    if law.histogram is not None:
        whole = sum((weight for _, _, weight in law.histogram), Fraction(0))
        return float(sum(((low + high) * weight for low, high, weight in law.histogram), Fraction(0)) / 2 / whole)
    if law.cycle is not None:
        times = float(sum(count for count, _ in law.cycle))
        return float(sum(count * value for count, value in law.cycle)) / times
    return tables.mean(law_table(law, least))
