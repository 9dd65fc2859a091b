"""Row 16: what first fit and half-fit need at worst.

Both bounds are in terms of M, the most bytes that were ever live, and n, the largest block, counted in granules: block
sizes are multiples of one. Headers and rounding are part of the blocks here, so that the bounds hold for what is really
taken. No sequence of requests may exceed them; the sequences below try to, in the ways that are known to hurt.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping

from memtool.engine.abi.binding import Heap
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


def useless_holes(sizes: Iterable[int], too_small: Callable[[int], int]) -> Sequence:
    """Fill up with blocks of one size after the other, and free all that leaves only holes which do not serve the next.

    ``sizes`` are in granules; a hole below ``too_small(size)`` granules is taken to be useless for a block of a size.
    """

    def thin_out(ledger: Ledger, live: list[tuple[int, int]], hole: int) -> list[tuple[int, int]]:
        """Free from the lowest address on whatever makes no hole of that many bytes; return what stays."""
        live.sort()
        kept = live[-1:]  # behind it the heap may grow
        end = 0
        for block, (following, _) in itertools.pairwise(live):
            if following - end < hole:
                ledger.deallocate(*block)
            else:
                kept.append(block)
                end = block[0] + block[1] + HEADER
        return kept

    def run(ledger: Ledger) -> None:
        live: list[tuple[int, int]] = []
        for granules in sizes:
            size = granules * GRANULE - HEADER
            before = -1
            while ledger.footprint != before:
                before = ledger.footprint
                live = thin_out(ledger, live, too_small(granules) * GRANULE)
                while ledger.live + size + HEADER <= MOST_LIVE:
                    live.append((ledger.allocate(size), size))

    return run


def _power_of_two_above(granules: int) -> int:
    """Return where half-fit begins to look: below it lie holes that would do."""
    return 1 << (granules - 1).bit_length()


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
    "holes too small for powers of two": useless_holes([1 << k for k in range(1, 10)], lambda granules: granules),
    "holes that half-fit overlooks": useless_holes([2, *((1 << k) + 1 for k in range(1, 10))], _power_of_two_above),
}
RANDOM: Mapping[str, Sequence] = {"random victims": saturation(100_000)}


def account(strategy: str, sequence: Sequence) -> Ledger:
    """Return the account of a strategy after a sequence."""
    parameters = f"grow={GRANULE}" if strategy in FACTORS else ""
    with Heap(strategy, parameters, capacity=64 * MIB) as heap:
        ledger = Ledger(heap)
        sequence(ledger)
        return ledger


def lines(noun: str, sequences: Mapping[str, Sequence], factors: Mapping[str, int] = FACTORS) -> Iterator[Line]:
    """Compare the most that each strategy takes with its bound, at any moment; ``noun`` names the sequences."""
    for strategy, factor in factors.items():
        accounts = {name: account(strategy, sequence) for name, sequence in sequences.items()}
        name, most = max(accounts.items(), key=lambda item: item[1].taken)
        times = "" if factor == 1 else f"{factor} "
        yield Line(
            f"most that {noun} make {strategy} take",
            f"never more than {times}M (1 + ceil(log2 n))",
            f"{most.taken:.2f} M of {factor * most.allowed} M ({name})",
            Verdict.of(all(ledger.worst <= factor for ledger in accounts.values())),
        )


CONSUMPTION = Result(
    16,
    "Worst-case consumption",
    "Robson 1977",
    "Robson: Worst case fragmentation of first fit and best fit storage allocation strategies, Computer Journal 20(3), "
    "1977; Ogasawara: An algorithm with constant execution time for dynamic storage allocation, RTCSA 1995",
    exact=lambda: lines("adversaries", ADVERSARIES),
    measured=lambda: lines("random victims", RANDOM),
)
