"""Row 16: what first fit and half-fit need at worst.

Both bounds are in terms of M, the most bytes that were ever live, and n, the largest block, counted in granules: block
sizes are multiples of one. Headers and rounding are part of the blocks here, so that the bounds hold for what is really
taken. No sequence of requests may exceed them; the sequences below try to, in the ways that are known to hurt.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

from memtool.engine.binding import Heap
from verification.outcome import Line, Result, Verdict
from verification.robson import attack

GRANULE, HEADER, SMALLEST = 16, 8, 2
"""Bytes of a granule and of a header; granules of the smallest block."""
MIB = 1 << 20
FACTORS: Mapping[str, int] = {"first-fit": 1, "half-fit": 2}
"""The bound of each is this times M (1 + ceil(log2 n))."""


class Ledger:
    """A heap, and the account of what its blocks take."""

    def __init__(self, heap: Heap) -> None:
        """Begin the account of a fresh heap."""
        self._heap = heap
        self._fixed = heap.footprint  # tables and end mark, whatever is allocated
        self.footprint = 0
        """Bytes taken for blocks so far."""
        self.live = 0
        """Bytes of all live blocks, headers included."""
        self._most_live = 0
        self._largest = GRANULE
        self.worst = 0.0
        """The largest footprint so far, as a multiple of M (1 + ceil(log2 n)) at that moment."""

    @property
    def allowed(self) -> int:
        """Return 1 + ceil(log2 n)."""
        return 1 + (self._largest // GRANULE - 1).bit_length()

    @property
    def taken(self) -> float:
        """Return the footprint as a multiple of M."""
        return self.footprint / self._most_live

    def allocate(self, size: int, alignment: int = 16) -> int:
        """Return the offset of a new block."""
        offset = self._heap.allocate(size, alignment)
        assert offset is not None
        block = self._heap.usable_size(offset, size) + HEADER
        self.live += block
        self.footprint = self._heap.footprint - self._fixed
        self._most_live = max(self._most_live, self.live)
        self._largest = max(self._largest, block)
        self.worst = max(self.worst, self.taken / self.allowed)
        return offset

    def deallocate(self, offset: int, size: int, alignment: int = 16) -> None:
        """Free a block."""
        self.live -= self._heap.usable_size(offset, size) + HEADER
        self._heap.deallocate(offset, size, alignment)


Sequence = Callable[[Ledger], None]
MOST_LIVE = 1 << 16
"""Bytes that the sequences keep live."""


def robson(ledger: Ledger) -> None:
    """Play Robson's adversary, in blocks of 2, 4, 8, ... 256 granules."""
    word = SMALLEST * GRANULE
    attack(ledger, MOST_LIVE // word, 128, word, HEADER)


def comb(surplus: int) -> Sequence:
    """Fill up with blocks of 2^k granules and a surplus, free every second block by address, go on with the next k."""

    def run(ledger: Ledger) -> None:
        live: list[tuple[int, int]] = []
        for doubling in range(1, 10):
            size = ((1 << doubling) + surplus) * GRANULE - HEADER
            while ledger.live + size + HEADER <= MOST_LIVE:
                live.append((ledger.allocate(size), size))
            live.sort()
            for block in live[1::2]:
                ledger.deallocate(*block)
            live = live[::2]

    return run


def saturation(requests: int) -> Sequence:
    """Free random blocks where another, its size from all doublings alike, would be more than what may be live."""

    def run(ledger: Ledger) -> None:
        draw = random.Random(1)
        live: list[tuple[int, int]] = []
        for _ in range(requests):
            size = int(2 ** draw.uniform(5, 13)) - HEADER
            while ledger.live + size + 2 * GRANULE > MOST_LIVE:
                place = draw.randrange(len(live))
                live[place], live[-1] = live[-1], live[place]
                ledger.deallocate(*live.pop())
            live.append((ledger.allocate(size), size))

    return run


ADVERSARIES: Mapping[str, Sequence] = {
    "Robson's adversary": robson,
    "combs of powers of two": comb(0),
    "combs just above powers of two": comb(1),
}
RANDOM: Mapping[str, Sequence] = {"random victims": saturation(100_000)}


def account(strategy: str, sequence: Sequence) -> Ledger:
    """Return the account of a strategy after a sequence."""
    parameters = f"grow={GRANULE}" if strategy in FACTORS else ""
    with Heap(strategy, parameters, capacity=64 * MIB) as heap:
        ledger = Ledger(heap)
        sequence(ledger)
        return ledger


def lines(sequences: Mapping[str, Sequence], factors: Mapping[str, int] = FACTORS) -> Iterator[Line]:
    """Compare the most that each strategy takes with its bound, at any moment of any sequence."""
    for strategy, factor in factors.items():
        accounts = {name: account(strategy, sequence) for name, sequence in sequences.items()}
        name, most = max(accounts.items(), key=lambda each: each[1].taken)
        times = "" if factor == 1 else f"{factor} "
        yield Line(
            f"most taken by {strategy}, {', '.join(sequences)}",
            f"never more than {times}M (1 + ceil(log2 n))",
            f"{most.taken:.2f} M of {factor * most.allowed} M ({name})",
            Verdict.of(all(each.worst <= factor for each in accounts.values())),
        )


CONSUMPTION = Result(
    16,
    "Worst-case consumption",
    "Robson 1977",
    "Robson: Worst case fragmentation of first fit and best fit storage allocation strategies, Computer Journal 20(3), "
    "1977; Ogasawara: An algorithm with constant execution time for dynamic storage allocation, RTCSA 1995",
    exact=lambda: lines(ADVERSARIES),
    measured=lambda: lines(RANDOM),
)
