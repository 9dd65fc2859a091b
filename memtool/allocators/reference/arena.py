"""A monotonic arena with scopes: the oracle of the engine's ``arena``."""

from __future__ import annotations

from collections.abc import Iterator

from memtool.allocators.interpreted import Parameter, Region, align_up
from memtool.units import GIB


class Arena:
    """Allocates at ascending addresses; a free does nothing, and the end of a scope reclaims all of its memory."""

    source = 'Hanson, "Fast allocation and deallocation of memory based on object lifetimes", SPE 20(1), 1990'
    complexity = "allocate O(1), deallocate nothing, end of a scope O(1)"
    when = "to read, and to compare with arena"
    free_order = "reset"
    parameters = (
        Parameter("chunk", "taken from the region at a time", "64KiB", minimum=4096, maximum=GIB, unit="bytes"),
    )

    def __init__(self, region: Region, chunk: int) -> None:
        """``region``: its memory; ``chunk``: bytes that are taken from it at a time."""
        self.region = region
        self.chunk = chunk
        self.next = 0
        """Offset of the next block, before alignment."""
        self.scope = 0
        """Offset at which the innermost scope begins."""

    def allocate(self, size: int, alignment: int) -> int | None:
        """Return the next aligned offset."""
        offset = align_up(self.region.base + self.next, alignment) - self.region.base
        end = offset + self._bytes_for(size, alignment)
        if not self._reach(end):
            return None
        self.next = end
        return offset

    def deallocate(self, offset: int, size: int, alignment: int) -> None:
        """Do nothing: the memory is reclaimed at the end of its scope."""

    def reallocate(self, offset: int, old_size: int, new_size: int, alignment: int) -> int | None:
        """Resize the youngest block of the scope in place, shrink any other in place, or else allocate a new block."""
        old, new = self._bytes_for(old_size, alignment), self._bytes_for(new_size, alignment)
        if offset + old == self.next and offset >= self.scope:
            if not self._reach(offset + new):
                return None
            self.next = offset + new
            return offset
        if new <= old:
            return offset
        fresh = self.allocate(new_size, alignment)
        if fresh is not None:
            self.region.memory[fresh : fresh + old_size] = self.region.memory[offset : offset + old_size]
        return fresh

    def mark(self) -> tuple[int, int]:
        """Begin a scope and return what its end needs."""
        marker = (self.next, self.scope)
        self.scope = self.next
        return marker

    def release(self, marker: tuple[int, int]) -> None:
        """End a scope: everything allocated since its mark is reclaimed."""
        self.next, self.scope = marker

    def usable_size(self, offset: int, size: int) -> int:
        """Return the requested size: the bytes after it may belong to the next block."""
        return max(size, 1)

    def stats(self) -> dict[str, int]:
        """Return the figures; the live bytes are unknown."""
        room = self.region.used - self.next
        return {"free_bytes": room, "largest_free": room, "free_blocks": int(room > 0), "metadata_bytes": 0}

    def walk(self) -> Iterator[tuple[int, int, str]]:
        """Yield the allocated memory, and the rest of the chunk."""
        if self.next > 0:
            yield 0, self.next, "used"
        if self.region.used > self.next:
            yield self.next, self.region.used - self.next, "free"

    def check(self) -> None:
        """The scope began before the next address, which is in memory that was taken."""
        assert 0 <= self.scope <= self.next <= self.region.used, "the next address lies beyond what was taken"

    @staticmethod
    def _bytes_for(size: int, alignment: int) -> int:
        """Return the size of a block: a multiple of its alignment, or of 16 bytes if that is larger."""
        return align_up(max(size, 1), min(alignment, 16))

    def _reach(self, end: int) -> bool:
        """Take memory up to ``end``, at least a chunk if that much is left."""
        need = end - self.region.used
        if need <= 0:
            return True
        return self.region.grow(max(need, min(self.chunk, self.region.capacity - self.region.used))) is not None
