"""Row 23: what local heaps are worth to containers: what they take, how fast they grow, and traversal after churn."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from memtool.passes import Pass
from verification.cells import measure, ratio
from verification.outcome import Line, Result, Verdict

BLOCKS = 6
GROWTH = """\
name: {type}
container:
  type: {type}
  ways: [std]
  script: [{{push: 20k}}]
"""
CHURN = """\
name: churn
container:
  type: list
  containers: {containers}
  ways: [std, std-each]
  script: [{{push: {elements}}}, {{churn: {churn}}}, {{traverse: {times}}}]
"""
GROWN = ("list", "unordered_map", "map_of_vectors")
MONOTONIC, POOL, GLOBAL = "bump", "segregated-pool", "new-delete"
SHARED, OWN = f"{POOL}@std", f"{POOL}@std-each"
LARGE = {"containers": 16, "elements": "32k", "churn": "160k", "times": 20}
TINY = {"containers": 4096, "elements": 16, "churn": 80, "times": 2048}
"""Subsystems of the two sizes; five times their elements are replaced, as in the paper."""
BETTER = 0.8
"""What one traversal is of another where it is clearly better."""
LITTLE = 0.05
"""What tiny subsystems may gain of what large ones do, where they gain nothing to speak of: ns an element."""


def footprint_lines() -> Iterator[Line]:
    """Compare what containers on a monotonic heap take with all bytes that they ever asked for."""
    for kind in GROWN:
        (cell,) = measure(GROWTH.format(type=kind), (Pass.FOOTPRINT,), 1, [MONOTONIC]).values()
        requested, taken = (cell.metrics[name].value or 0.0 for name in ("asked_bytes", "peak_footprint_bytes"))
        yield Line(
            f"bytes that 20,000 elements of {kind} take on a monotonic heap",
            f"all bytes ever asked for: {requested:,.0f}",
            f"{taken:,.0f}",
            Verdict.of(taken == requested),
        )


def growth_lines() -> Iterator[Line]:
    """Compare the time to fill containers and to destroy them."""
    for kind in GROWN:
        cells = measure(GROWTH.format(type=kind), (Pass.THROUGHPUT,), BLOCKS, (MONOTONIC, POOL, GLOBAL))
        times = {
            name.partition("@")[0]: [
                push + gone
                for push, gone in zip(
                    *(cell.metrics[metric].samples for metric in ("push_ns", "destroy_ns")), strict=True
                )
            ]
            for name, cell in cells.items()
        }
        first, second = ratio(times[MONOTONIC], times[POOL]), ratio(times[POOL], times[GLOBAL])
        yield Line(
            f"time to fill {kind} with 20,000 elements and to destroy it",
            "monotonic <= pool < new/delete",
            f"{MONOTONIC} {first:.2f} x {POOL}; {POOL} {second:.2f} x {GLOBAL}",
            Verdict.of(first <= 1 and second < 1),
        )


def jump_lines() -> Iterator[Line]:
    """Count the jumps of traversals after churn, which no other program on the machine changes."""
    for sizes in (LARGE, TINY):
        cells = measure(CHURN.format(**sizes), (Pass.FOOTPRINT,), 1, [POOL])
        own, shared = (cells[name].metrics["jumps_per_element_churned"].value or 0.0 for name in (OWN, SHARED))
        yield Line(
            f"jumps after churn, {sizes['containers']} lists of {sizes['elements']}: a heap each / one heap",
            "< 1",
            f"{own / shared:.3f} ({own:.3f} / {shared:.3f} an element)",
            Verdict.of(own < shared),
        )


def exact_lines() -> Iterator[Line]:
    """Yield what is the same on every machine."""
    yield from footprint_lines()
    yield from jump_lines()


def locality_lines() -> Iterator[Line]:
    """Compare traversals after churn: a heap for each subsystem, and one for all.

    Tiny subsystems lie in the caches together: their jumps are fewer too, but each costs next to nothing, so that the
    ratio of two short times is no figure to judge by. What an element gains is.
    """
    gains = []
    for sizes in (LARGE, TINY):
        cells = measure(CHURN.format(**sizes), (Pass.THROUGHPUT,), BLOCKS, [POOL])
        own, shared = (cells[name].metrics["traverse_churned_ns"].samples for name in (OWN, SHARED))
        gains.append(statistics.median(two - one for one, two in zip(own, shared, strict=True)))
        faster, gain = ratio(own, shared), gains[-1] / gains[0]
        figures = f"{faster:.2f} ({statistics.median(own):.2f} and {statistics.median(shared):.2f} ns an element)"
        yield Line(
            f"traversal after churn, {sizes['containers']} lists of {sizes['elements']}: a heap each / one heap",
            "faster (the whole run: 0.29)"
            if sizes is LARGE
            else f"gains at most {LITTLE:.0%} of that (the whole run: 1.42)",
            figures if sizes is LARGE else f"{figures}: {gain:.1%} of the gain",
            Verdict.of(faster <= BETTER if sizes is LARGE else gain <= LITTLE),
        )


def measured() -> Iterator[Line]:
    """Yield what takes time."""
    yield from growth_lines()
    yield from locality_lines()


CONTAINERS = Result(
    23,
    "Containers on local heaps: what they take, growth, and locality after churn",
    "Lakos et al. 2015",
    "Lakos, Mendelsohn, Meredith and Myers: On quantifying memory-allocation strategies, N4468 (2015), P0089R1 (2016), "
    "7 and 8; figures of its published results (new/delete against a multipool through a base class: 2^21 elements in "
    "subsystems of 2^17 and of 2^4, churn 5)",
    exact=exact_lines,
    measured=measured,
)
