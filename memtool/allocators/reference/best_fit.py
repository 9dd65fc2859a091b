"""Best fit, ties by address: the oracle of the engine's ``best-fit``."""

from __future__ import annotations

from memtool.allocators.interpreted import Region
from memtool.allocators.reference.tagged import GROW, INITIAL, TaggedHeap


class BestFit(TaggedHeap):
    """Chooses the smallest free block that is large enough, and of equal ones the lowest."""

    source = "Wilson et al., Dynamic storage allocation: a survey and critical review, IWMM 1995, 3.5"
    complexity = "allocate O(n) in n free blocks, deallocate O(1)"
    when = "to read, and to compare with best-fit"
    parameters = (GROW, INITIAL)

    def __init__(self, region: Region, grow: int, initial: int = 0) -> None:
        """Take the region, the fewest bytes by which the heap grows, and what it begins with."""
        super().__init__(region, grow=grow, initial=initial)

    def choose(self, need: int) -> tuple[int | None, int]:
        """Return the smallest of the free blocks that are large enough."""
        fitting = ((count, start) for start, count in self.free.items() if count >= need)
        _, start = min(fitting, default=(0, None))
        return start, need
