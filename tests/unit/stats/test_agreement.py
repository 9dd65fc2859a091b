"""Whether two workloads rank allocators alike: what changes places, and what only one of them tells apart."""

from __future__ import annotations

from collections.abc import Mapping

from memtool.model import CellResult, Run
from memtool.stats.agreement import agreement
from tests.runs import cell, excluded, figure, run

NAME = "time_per_op_ns"
_NOISE = (0.0, 0.1, -0.1, 0.05, -0.05, 0.0)
"""Of six blocks: the least with which a sign test tells anything apart."""


def _cells(workload: str, times: Mapping[str, float]) -> list[CellResult]:
    return [
        cell(name, {NAME: figure(NAME, *(time + noise for noise in _NOISE))}, workload) for name, time in times.items()
    ]


def _run(first: Mapping[str, float], second: Mapping[str, float], *more: CellResult) -> Run:
    return run(*_cells("web", first), *_cells("fit", second), *more)


def test_the_same_order_agrees() -> None:
    made = agreement(_run({"a": 10, "b": 20, "c": 30}, {"c": 13, "b": 12, "a": 11}), NAME, "web", "fit")
    assert made.agrees
    assert (made.pairs, made.swapped, made.unsettled, made.left_out) == (3, (), (), ())
    assert [(place.allocator, place.ranks) for place in made.standings] == [("a", (1, 1)), ("b", (2, 2)), ("c", (3, 3))]
    assert made.standings[0].values == (10, 11)


def test_two_that_change_places_are_named_and_so_is_what_one_does_not_tell_apart() -> None:
    made = agreement(_run({"a": 10, "b": 20, "c": 30}, {"a": 10, "b": 25, "c": 20}), NAME, "web", "fit")
    assert not made.agrees
    assert made.swapped == (("b", "c"),)
    tied = agreement(_run({"a": 10, "b": 20}, {"a": 10, "b": 10.01}), NAME, "web", "fit")
    assert tied.agrees
    assert tied.unsettled == (("a", "b", 0),)
    other = agreement(_run({"a": 10, "b": 10.01}, {"a": 20, "b": 10}), NAME, "web", "fit")
    assert other.unsettled == (("b", "a", 1),)


def test_medians_within_two_percent_are_the_same_however_surely_they_differ() -> None:
    made = agreement(_run({"a": 100, "b": 101.5}, {"a": 101.5, "b": 100}), NAME, "web", "fit")
    assert (made.swapped, made.unsettled) == ((), ())


def test_what_was_not_measured_on_both_is_left_out() -> None:
    made = agreement(_run({"a": 10, "b": 20}, {"a": 10}, excluded("b", "too large", "fit")), NAME, "web", "fit")
    assert [place.allocator for place in made.standings] == ["a"]
    assert (made.pairs, made.left_out) == (0, ("b",))
