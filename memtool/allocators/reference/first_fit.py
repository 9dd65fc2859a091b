"""First fit in address order: the oracle of the engine's ``first-fit``."""

from __future__ import annotations

from memtool.allocators.interpreted import Region
from memtool.allocators.reference.tagged import GROW, TaggedHeap


class FirstFit(TaggedHeap):
    """The lowest free block that is large enough."""

    source = "Knuth, The Art of Computer Programming 1, 3rd ed. 1997, 2.5 (algorithm A)"
    complexity = "allocate O(n) in n free blocks, deallocate O(1)"
    when = "to read, and to compare with first-fit"
    parameters = (GROW,)

    def __init__(self, region: Region, grow: int) -> None:
        """Take the region, and the fewest bytes by which the heap grows."""
        super().__init__(region, grow=grow)

    def choose(self, need: int) -> tuple[int | None, int]:
        """Return the lowest of the free blocks that are large enough."""
        return min((start for start, count in self.free.items() if count >= need), default=None), need
