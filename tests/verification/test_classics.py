"""How the classics are judged against their originals. The figures are given: none that is taken here is asserted."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from memtool.workload.trace import shipped
from verification import classics
from verification.classics import ORIGINALS, Original, lines
from verification.outcome import Verdict

ONE = {"one": Original("one 2", (100.0, 200.0, 110.0, 50.0), (10.0, 5.0, 10.0, 9.0))}


def judged(
    times: tuple[float, ...], memory: tuple[float, ...], originals: Mapping[str, Original] = ONE
) -> list[Verdict]:
    def measure(_: str) -> dict[str, tuple[float, float]]:
        return {name: (times[i], memory[i]) for i, name in enumerate(classics.ALLOCATORS)}

    return [line.verdict for line in lines(originals, measure)]


@pytest.fixture(autouse=True)
def _all_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classics, "why_missing", lambda _: None)


REPRODUCED, NOT = Verdict.REPRODUCED, Verdict.NOT_REPRODUCED


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        ((10.0, 20.0, 11.0, 5.0), REPRODUCED),
        # glibc and mimalloc are too close in the original for their order to count.
        ((11.0, 20.0, 10.0, 5.0), REPRODUCED),
        # Less far apart, but in order.
        ((10.0, 15.0, 10.5, 7.0), REPRODUCED),
        # The original has jemalloc twice as slow as glibc.
        ((10.0, 9.9, 9.8, 5.0), NOT),
        # In order, but tcmalloc is nine times as fast as glibc, where the original has twice.
        ((45.0, 60.0, 45.0, 5.0), NOT),
    ],
)
def test_what_is_far_apart_in_the_original_is_in_that_order(times: tuple[float, ...], verdict: Verdict) -> None:
    assert judged(times, (10.0, 5.0, 10.0, 9.0)) == [verdict, REPRODUCED]


@pytest.mark.parametrize(
    ("memory", "verdict"),
    [
        ((10.0, 5.0, 10.0, 9.0), REPRODUCED),
        ((14.9, 3.4, 6.7, 13.4), REPRODUCED),
        # Every ratio is the original's, but all take a tenth.
        ((1.0, 0.5, 1.0, 0.9), NOT),
        ((10.0, 5.0, 15.1, 9.0), NOT),
    ],
)
def test_memory_is_the_originals_within_a_half(memory: tuple[float, ...], verdict: Verdict) -> None:
    assert judged(ONE["one"].time, memory) == [REPRODUCED, verdict]


def test_little_memory_is_not_judged() -> None:
    little = {"one": Original("one 2", ONE["one"].time, (6.0, 5.0, 5.0, 3.0))}
    assert judged(ONE["one"].time, (1.0, 2.0, 2.0, 2.0), little) == [REPRODUCED]


def test_an_original_without_an_order_shows_nothing() -> None:
    level = {"one": Original("one 2", (10.0, 11.0, 12.0, 13.0), (1.0, 1.0, 1.0, 1.0))}
    assert judged((10.0, 11.0, 12.0, 13.0), (1.0, 1.0, 1.0, 1.0), level) == [NOT]


def test_nothing_is_measured_where_an_allocator_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classics, "why_missing", lambda name: "not installed" if name == "mimalloc" else None)
    (line,) = lines(ONE, lambda _: pytest.fail("measured"))
    assert (line.ours, line.verdict) == ("no mimalloc", Verdict.NOT_RUN)


def test_every_original_is_a_shipped_classic_with_something_to_assert() -> None:
    for classic, original in ORIGINALS.items():
        assert f"classic/{classic}" in shipped()
        assert max(original.time) / min(original.time) >= classics.CLEAR
