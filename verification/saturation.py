"""Rows 5 and 6: how much of a memory of fixed size the fits put to use when there is always more to be stored.

The experiment is Shore's. Requests wait in one line. The first in line is stored as soon as there is room for it, stays
for a time of its own, and is released; meanwhile the line moves on. What a fit achieves is the time-memory product of
all that was stored, as a share of what the memory could have held. Both fits of a comparison are given the same
requests, and the ratio of their efficiencies is taken for each sequence by itself.
"""

from __future__ import annotations

import heapq
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from memtool.engine.abi.binding import Heap
from verification.outcome import Line, Result, Verdict

MEMORY = 32_768
"""Words of 16 bytes, in which memtool's free lists count; each block's header of half a word is part of the block."""
WORD, HEADER, SMALLEST = 16, 8, 2
STAY = (5.0, 15.0)
"""Shortest and longest stay, in units of time; uniform in between."""
SETTLED = 0.2
"""Share of the requests that pass before anything is counted."""

Law = Callable[[random.Random, float], float]


def uniform(draw: random.Random, mean: float) -> float:
    """Draw from 0 to twice the mean."""
    return draw.uniform(0, 2 * mean)


def normal(draw: random.Random, mean: float) -> float:
    """Draw with a standard deviation of a quarter of the mean."""
    return draw.gauss(mean, mean / 4)


def exponential(draw: random.Random, mean: float) -> float:
    """Draw with a coefficient of variation of 1."""
    return draw.expovariate(1 / mean)


def hyperexponential(draw: random.Random, mean: float) -> float:
    """Draw from two exponentials: a tenth of the requests, nine times as large as the others, are half of the words."""
    return draw.expovariate(2 * (0.1 if draw.random() < 0.1 else 0.9) / mean)


def efficiency(fit: str, law: Law, mean: float, requests: int, seed: int) -> float:
    """Return the share of time x memory that was used, from 0 to 1; ``mean`` is of a request, in words."""
    draw = random.Random(seed)
    settled = int(requests * SETTLED)
    stored: list[tuple[float, int, int]] = []  # (time of release, offset, words), earliest first
    now = begin = product = 0.0
    live = 0
    # A fixed memory: what an index needs beside it comes out of the capacity, and not out of the memory.
    bounds = f"initial={(MEMORY + 8) * WORD},grow=0"
    with Heap(fit, bounds, capacity=2 * (MEMORY + 8) * WORD) as heap:
        for number in range(requests):
            words = 0
            while not SMALLEST <= words <= MEMORY:
                words = round(law(draw, mean))
            stay = draw.uniform(*STAY)
            if number == settled:
                begin, product = now, 0.0
            while (offset := heap.allocate(words * WORD - HEADER)) is None:
                due, oldest, released = heapq.heappop(stored)
                product += live * (due - now)
                now = due
                live -= released
                heap.deallocate(oldest, released * WORD - HEADER)
            heapq.heappush(stored, (now + stay, offset, words))
            live += words
    return product / ((now - begin) * MEMORY)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is sampled: independent sequences, and requests in each."""

    sequences: int
    requests: int


AT_LENGTH = Effort(16, 16_000)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two efficiencies: the mean over all sequences, and the half width of its 95 % interval."""

    mean: float
    margin: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.margin:.4f}"


def ratio(numerator: str, denominator: str, law: Law, mean: float, effort: Effort) -> Ratio:
    """Return how much more efficient one fit is than another."""
    ratios = [
        efficiency(numerator, law, mean, effort.requests, seed)
        / efficiency(denominator, law, mean, effort.requests, seed)
        for seed in range(effort.sequences)
    ]
    error = statistics.stdev(ratios) / effort.sequences**0.5
    return Ratio(statistics.mean(ratios), float(stats.t.ppf(0.975, effort.sequences - 1)) * error)


MEAN_OF_SHORE = MEMORY / 128
LAWS: Mapping[Law, tuple[bool, float]] = {
    uniform: (True, 0.03),
    normal: (True, 0.03),
    exponential: (False, 0.03),
    hyperexponential: (False, 0.08),
}
"""By law: whether best fit wins, and how far apart the two are at most."""


def shore_lines(best: str = "best-fit", first: str = "first-fit", effort: Effort = AT_LENGTH) -> Iterator[Line]:
    """Compare best fit with first fit for each law; the sign must be beyond doubt."""
    for law, (best_wins, apart) in LAWS.items():
        efficiency = ratio(best, first, law, MEAN_OF_SHORE, effort)
        sign = efficiency.mean - efficiency.margin > 1 if best_wins else efficiency.mean + efficiency.margin < 1
        winner = "best" if best_wins else "first"
        yield Line(
            f"efficiency of best fit / first fit, {law.__name__} sizes",
            f"{winner} fit wins, within {apart:.0%}",
            str(efficiency),
            Verdict.of(sign and abs(efficiency.mean - 1) <= apart),
        )


SMALL, LARGE = 128, (16, 8, 4)
"""Memory / mean request, where next fit is inferior, and where it is not."""


def bays_lines(
    next_fit: str = "next-fit",
    first: str = "first-fit",
    effort: Effort = AT_LENGTH,
    large: Sequence[int] = LARGE,
) -> Iterator[Line]:
    """Compare next fit with first fit for mean requests below and from 1/16 of the memory on."""

    def compare(part: int) -> Ratio:
        return ratio(next_fit, first, exponential, MEMORY / part, effort)

    quantity = "efficiency of next fit / first fit, mean request 1/{} of memory"
    efficiency = compare(SMALL)
    yield Line(
        quantity.format(SMALL), "decidedly inferior: < 0.98", str(efficiency), Verdict.of(efficiency.mean < 0.98)
    )
    for part in large:
        efficiency = compare(part)
        yield Line(
            quantity.format(part), "similar: 1 ± 0.02", str(efficiency), Verdict.of(abs(efficiency.mean - 1) <= 0.02)
        )


SHORE = Result(
    5,
    "First fit against best fit in a saturated memory",
    "Shore 1975",
    "Shore: On the external storage fragmentation produced by first-fit and best-fit allocation strategies, "
    "CACM 18(8), 1975",
    measured=shore_lines,
)
BAYS = Result(
    6,
    "Next fit against first fit in a saturated memory",
    "Bays 1977",
    "Bays: A comparison of next-fit, first-fit, and best-fit, CACM 20(3), 1977",
    measured=bays_lines,
)
