"""Row 4: how many holes a steady heap has."""

from __future__ import annotations

import random
from collections.abc import Iterator

from memtool.engine.abi.binding import Heap
from verification.outcome import Line, Result, Verdict

BLOCKS, LARGEST, STEPS, SETTLED = 1000, 10_000, 40_000, 20_000


def holes(strategy: str, victim: str) -> float:
    """Return free blocks / used blocks, averaged over a steady state of 1,000 blocks of 1 to 10^4 bytes.

    ``victim`` is the block that makes place for the next: "random" or "oldest".
    """
    draw = random.Random(7)
    ratios = []
    with Heap(strategy, capacity=64 << 20) as heap:
        live: list[tuple[int, int]] = []
        for step in range(STEPS):
            if len(live) == BLOCKS:
                live.append(live.pop(0 if victim == "oldest" else draw.randrange(BLOCKS)))
                heap.deallocate(*live.pop())
            size = draw.randint(1, LARGEST)
            block = heap.allocate(size)
            assert block is not None
            live.append((block, size))
            if step > SETTLED and step % 100 == 0:
                stats = heap.stats()
                assert stats["free_blocks"] is not None
                assert stats["used_blocks"] is not None
                ratios.append(stats["free_blocks"] / stats["used_blocks"])
    return sum(ratios) / len(ratios)


def lines(strategy: str = "first-fit") -> Iterator[Line]:
    """Compare both orders of freeing."""
    quantity = "free blocks / used blocks, freed in {} order"
    figure = holes(strategy, "random")
    yield Line(
        quantity.format("random"), "about 1/2: 0.45 to 0.52", f"{figure:.3f}", Verdict.of(0.45 <= figure <= 0.52)
    )
    figure = holes(strategy, "oldest")
    yield Line(quantity.format("the allocations'"), "hardly any: < 0.1", f"{figure:.3f}", Verdict.of(figure < 0.1))


FIFTY_PERCENT = Result(
    4,
    "Knuth's fifty-percent rule",
    "Knuth 1968",
    "Knuth: The Art of Computer Programming 1, 1968 (3rd ed. 1997), 2.5",
    exact=lines,
)
