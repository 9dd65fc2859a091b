"""The worst-case bounds of first fit and half-fit, against sequences that hypothesis looks for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, target
from hypothesis import strategies as st

from memtool.engine.abi.binding import Heap
from verification.consumption import FACTORS, GRANULE, Ledger

# Rounds that fill up with blocks of one size and then free some, by address: (log2 of granules, surplus granules,
# bytes that are freed only where the remainder of the block's number by `every` is in `kept`).
ROUNDS = st.lists(
    st.tuples(st.integers(1, 8), st.integers(0, 3), st.integers(1, 4), st.integers(0, 15)), min_size=2, max_size=12
)
MOST_LIVE = 16 * 1024


@pytest.mark.parametrize("strategy", FACTORS)
@settings(max_examples=60)
@given(rounds=ROUNDS)
def test_the_bound_is_never_exceeded(strategy: str, rounds: list[tuple[int, int, int, int]]) -> None:
    with Heap(strategy, f"grow={GRANULE}", capacity=16 << 20) as heap:
        ledger = Ledger(heap)
        live: list[tuple[int, int]] = []
        for doubling, surplus, every, kept in rounds:
            size = ((1 << doubling) + surplus) * GRANULE - 8
            while ledger.live + size + 8 <= MOST_LIVE:
                live.append((ledger.allocate(size), size))
            live.sort()
            staying = [block for number, block in enumerate(live) if kept >> number % every & 1]
            for block in set(live) - set(staying):
                ledger.deallocate(*block)
            live = staying
        target(ledger.worst)
        assert ledger.worst <= FACTORS[strategy]


def test_the_account_counts_headers_and_rounding() -> None:
    """17 B and 8 B of header are 32 B, two granules; 40 B and 8 B are three. M = 80, n = 3: 80 of (1 + 2) x 80."""
    with Heap("first-fit", f"grow={GRANULE}", capacity=1 << 20) as heap:
        ledger = Ledger(heap)
        block = ledger.allocate(17)
        assert (ledger.live, ledger.taken, ledger.allowed) == (32, 1.0, 2)
        ledger.allocate(40)
        assert (ledger.live, ledger.taken, ledger.allowed) == (80, 1.0, 3)
        ledger.deallocate(block, 17)
        assert (ledger.live, ledger.footprint) == (48, 80)
        assert ledger.worst == 0.5
