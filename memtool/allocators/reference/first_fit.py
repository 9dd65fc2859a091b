"""First fit in address order: the oracle of the engine's ``first-fit``."""

from __future__ import annotations

from memtool.allocators.interpreted import Region
from memtool.allocators.reference.tagged import GROW, INITIAL, TaggedHeap


class FirstFit(TaggedHeap):
    """Chooses the lowest free block that is large enough."""

    source = "Knuth, The Art of Computer Programming 1, 3rd ed. 1997, 2.5 (algorithm A)"
    complexity = "allocate O(n) in n free blocks, deallocate O(1)"
    when = "to read, and to compare with first-fit"
    parameters = (GROW, INITIAL)

    def __init__(self, region: Region, grow: int, initial: int = 0) -> None:
        """Take the region, the fewest bytes by which the heap grows, and what it begins with."""
        super().__init__(region, grow=grow, initial=initial)

    def choose(self, need: int) -> tuple[int | None, int]:
        """Return the lowest of the free blocks that are large enough."""
        return min((start for start, count in self.free.items() if count >= need), default=None), need
