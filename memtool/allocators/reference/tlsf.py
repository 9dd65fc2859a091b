"""Two-level segregated fit: the oracle of the engine's ``tlsf``."""

from __future__ import annotations

from memtool.allocators.interpreted import Parameter, Region, align_up
from memtool.allocators.reference.tagged import GROW, INITIAL, TaggedHeap


class Tlsf(TaggedHeap):
    """Good fit without a search: the youngest free block of the lowest size class whose every block is large enough.

    Each power of two is divided into ``subdivisions`` classes of equal width. A free block is in the class of its size.
    A request is rounded up to the beginning of the next class, and the block is cut to this size, so that once freed it
    serves the next request of the same size.
    """

    source = "Masmano, Ripoll, Crespo, Real: TLSF, a new dynamic memory allocator for real-time systems, ECRTS 2004"
    complexity = "allocate O(1), deallocate O(n) in the free blocks of a class: a list in Python has no links"
    when = "to read, and to compare with tlsf"
    parameters = (
        Parameter("subdivisions", "number of size classes in each power of two", "32", choices=("8", "16", "32", "64")),
        GROW,
        INITIAL,
    )

    def __init__(self, region: Region, subdivisions: str, grow: int, initial: int = 0) -> None:
        """Leave room at the start for the engine's accounts there: a bitmap, and a list and a count for each class."""
        self.log2 = int(subdivisions).bit_length() - 1
        self.classes: dict[int, list[int]] = {}
        """Size class -> offsets of its free blocks, the youngest last."""
        self.bitmap = 0
        """Bit c: class c has a block."""
        count = self.class_above(align_up(region.capacity, self.GRANULE)) + 1
        table = -(-count // 64) * 8 + count * 8 + align_up(count * 4, 8)
        super().__init__(region, grow=grow, initial=initial, table=table)

    def _shift(self, granules: int) -> int:
        """Return the log2 of the width of the classes around a size, in granules."""
        return (granules | 1 << self.log2).bit_length() - 1 - self.log2

    def class_of(self, count: int) -> int:
        """Return the size class of a free block."""
        granules = count // self.GRANULE
        shift = self._shift(granules)
        return (shift << self.log2) + (granules >> shift)

    def class_above(self, count: int) -> int:
        """Return the lowest class whose every block has at least this many bytes."""
        granules = count // self.GRANULE
        shift = self._shift(granules)
        return (shift << self.log2) + (granules + (1 << shift) - 1 >> shift)

    def choose(self, need: int) -> tuple[int | None, int]:
        """Return the youngest block of the lowest class that is certain to suffice."""
        cut = align_up(need, self.GRANULE << self._shift(need // self.GRANULE))
        lowest = self.class_above(need)
        able = self.bitmap >> lowest << lowest
        if not able:
            return None, cut
        return self.classes[(able & -able).bit_length() - 1][-1], cut

    def largest(self) -> int:
        """Return the least size of the highest class, or the last block if the heap tries that before it grows."""
        highest = self.bitmap.bit_length() - 1
        shift = max((highest >> self.log2) - 1, 0)
        least = highest - (shift << self.log2) << shift
        last = 0 if self.is_pool else self.free.get(self.free_by_end.get(self.end, self.end), 0)
        return max(least * self.GRANULE, last)

    def link(self, start: int, count: int) -> None:
        """Insert a free block as the youngest of its class."""
        super().link(start, count)
        size_class = self.class_of(count)
        self.classes.setdefault(size_class, []).append(start)
        self.bitmap |= 1 << size_class

    def unlink(self, start: int) -> int:
        """Remove a free block."""
        count = super().unlink(start)
        size_class = self.class_of(count)
        self.classes[size_class].remove(start)
        if not self.classes[size_class]:
            self.bitmap &= ~(1 << size_class)
        return count

    def check(self) -> None:
        """Every free block is in the class of its size, and the bitmap shows which classes have any."""
        super().check()
        listed = {start: size_class for size_class, starts in self.classes.items() for start in starts}
        assert listed == {start: self.class_of(count) for start, count in self.free.items()}, "a block is misfiled"
        assert self.bitmap == sum(1 << cls for cls, starts in self.classes.items() if starts), "the bitmap is wrong"
