"""Contiguous blocks, each after a tag of eight bytes: the common part of first fit, best fit and TLSF."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from memtool.allocators.interpreted import Parameter, Region, align_up
from memtool.units import GIB

GROW = Parameter(
    "grow",
    "smallest number of bytes by which the heap grows; 0: it never grows",
    "64KiB",
    minimum=0,
    maximum=4 * GIB,
    unit="bytes",
)
INITIAL = Parameter(
    "initial",
    "bytes of the heap at the start, with its tables, as one free block; 0: none",
    "0",
    minimum=0,
    maximum=1024 * GIB,
    unit="bytes",
)


class TaggedHeap(ABC):
    """Boundary tags (Knuth, TAOCP 1, 2.5): free neighbours are merged, remainders that can be blocks are split off.

    A block begins with its tag, followed by its payload. Subclasses choose among the free blocks.
    """

    TAG, GRANULE, LEAST = 8, 16, 32

    def __init__(self, region: Region, *, grow: int, initial: int = 0, table: int = 0) -> None:
        """Begin the heap after ``table`` bytes, and end it with a tag, so that every block has a neighbour."""
        if grow == initial == 0:
            raise ValueError("grow: must not be 0 if the heap starts empty")
        self.region = region
        self.is_pool = initial > 0
        self.step = align_up(grow, self.GRANULE)
        self.used: dict[int, int] = {}
        """Offset of a block -> its bytes, tags included."""
        self.free: dict[int, int] = {}
        self.free_by_end: dict[int, int] = {}
        """End of a free block -> its offset."""
        self.first = self.end = align_up(region.base + table + self.TAG, self.GRANULE) - self.TAG - region.base
        there = region.grow(self.first + self.TAG) is not None
        self.limit = region.capacity - self.first - self.TAG if there else 0
        rest = (min(initial, region.capacity) - region.used) // self.GRANULE * self.GRANULE
        if there and rest >= self.LEAST and region.grow(rest) is not None:
            self.end += rest
            self._release(self.first, rest)

    @abstractmethod
    def choose(self, need: int) -> tuple[int | None, int]:
        """Return the offset of a free block of at least ``need`` bytes, and the bytes to which it must be cut."""

    def largest(self) -> int:
        """Return the largest need that can be met without growing, where anything is free."""
        return max(self.free.values())

    def link(self, start: int, count: int) -> None:
        """Insert a free block."""
        self.free[start] = count
        self.free_by_end[start + count] = start

    def unlink(self, start: int) -> int:
        """Remove a free block and return its bytes."""
        count = self.free.pop(start)
        del self.free_by_end[start + count]
        return count

    def allocate(self, size: int, alignment: int) -> int | None:
        """Return the offset of a new payload; None when the region is exhausted."""
        if size >= self.limit or alignment >= self.limit:
            return None
        need = self._bytes_for(size)
        if alignment > self.GRANULE:
            return self._allocate_aligned(need, alignment)
        start, cut = self.choose(need)
        if start is None:
            start = self._last(need, cut)
        return None if start is None else self._keep(start, cut)

    def deallocate(self, offset: int, size: int, alignment: int) -> None:
        """Free a block, merged with the neighbours that are free."""
        start = offset - self.TAG
        self._release(start, self.used.pop(start))

    def reallocate(self, offset: int, old_size: int, new_size: int, alignment: int) -> int | None:
        """Stay in place if the free memory after the block suffices, or the heap ends there; otherwise move."""
        if new_size >= self.limit:
            return None
        start, need = offset - self.TAG, self._bytes_for(new_size)
        count = self.used[start]
        behind = start + count
        if count < need:
            more = self.free.get(behind, 0)
            missing = need - count - more
            if missing > 0 and behind + more != self.end:
                return self._move(offset, old_size, new_size, alignment)
            if more == 0:
                # The last block gets what it grows by at once: it may be less than the smallest free block.
                taken = self._grow(missing)
            else:
                taken = self.unlink(behind) if missing <= 0 or self._extend(missing) else 0
            if taken == 0:
                return self._move(offset, old_size, new_size, alignment)
            count += taken
        if count - need >= self.LEAST:
            self._release(start + need, count - need)
            count = need
        self.used[start] = count
        return offset

    def usable_size(self, offset: int, size: int) -> int:
        """Return the bytes up to the next tag."""
        return self.used[offset - self.TAG] - self.TAG

    def stats(self) -> dict[str, int]:
        """Return the heap's figures; every block costs its tag."""
        blocks = len(self.used) + len(self.free)
        granted = sum(self.used.values()) - self.TAG * len(self.used)
        free = sum(self.free.values()) - self.TAG * len(self.free)
        return {
            "granted": granted,
            "free_bytes": free,
            "largest_free": self.largest() - self.TAG if self.free else 0,
            "free_blocks": len(self.free),
            "used_blocks": len(self.used),
            "metadata_bytes": self.region.used - granted - free if blocks else self.region.used,
        }

    def walk(self) -> Iterator[tuple[int, int, str]]:
        """Yield tags and payloads in address order."""
        if self.limit:
            yield 0, self.first, "metadata"
        for start, count in sorted((self.used | self.free).items()):
            yield start, self.TAG, "metadata"
            yield start + self.TAG, count - self.TAG, "free" if start in self.free else "used"
        if self.limit:
            yield self.end, self.TAG, "metadata"

    def check(self) -> None:
        """Blocks are contiguous, none is both used and free, and no two free ones are adjacent."""
        assert not self.used.keys() & self.free.keys(), "a block is both used and free"
        at = self.first
        for start, count in sorted((self.used | self.free).items()):
            assert start == at, "a block does not begin where the one before it ends"
            assert not (start in self.free and start in self.free_by_end), "two free neighbours were not merged"
            at += count
        assert at == self.end, "the blocks do not end where the heap does"

    def _bytes_for(self, size: int) -> int:
        return max(self.LEAST, align_up(size + self.TAG, self.GRANULE))

    def _keep(self, start: int, need: int) -> int:
        """Use ``need`` bytes of a free block, and return the payload."""
        count = self.unlink(start)
        if count - need >= self.LEAST:
            self.link(start + need, count - need)
            count = need
        self.used[start] = count
        return start + self.TAG

    def _release(self, start: int, count: int) -> None:
        if start + count in self.free:
            count += self.unlink(start + count)
        if start in self.free_by_end:
            start = self.free_by_end[start]
            count += self.unlink(start)
        self.link(start, count)

    def _grow(self, count: int) -> int:
        """Move the heap's end by the step, or by the needed bytes if less is left; return 0 if that is impossible."""
        if self.step == 0:
            return 0
        for taken in (max(count, self.step), count):
            if self.region.grow(taken) is not None:
                self.end += taken
                return taken
        return 0

    def _extend(self, count: int) -> bool:
        """Grow by a free block of at least ``count`` bytes."""
        fresh = self.end
        taken = self._grow(count)
        if taken:
            self._release(fresh, taken)
        return taken != 0

    def _last(self, least: int, most: int) -> int | None:
        """Return the heap's last free block, grown to ``most`` or at least ``least`` bytes."""
        have = self.free.get(self.free_by_end.get(self.end, self.end), 0)
        if self.is_pool:
            # A block that the index has skipped is not sufficient.
            return self.free_by_end[self.end] if self._extend(max(most - have, 0) or self.step) else None
        if have < least and not self._extend(most - have) and not self._extend(least - have):
            return None
        return self.free_by_end[self.end]

    def _lead(self, start: int, alignment: int) -> int:
        """Return the bytes to leave free in front, so that the payload is aligned: none, or enough for a block."""
        payload = self.region.base + start + self.TAG
        return 0 if payload % alignment == 0 else align_up(payload + self.LEAST, alignment) - payload

    def _allocate_aligned(self, need: int, alignment: int) -> int | None:
        anywhere = need + self.LEAST + alignment - self.GRANULE
        start = self.choose(anywhere)[0] if anywhere < self.limit else None
        if start is None:
            least = self._lead(self.free_by_end.get(self.end, self.end), alignment) + need
            start = self._last(least, least)
            if start is None:
                return None
        lead = self._lead(start, alignment)
        if lead:
            count = self.unlink(start)
            self.link(start, lead)
            self.link(start + lead, count - lead)
        return self._keep(start + lead, need)

    def _move(self, offset: int, old_size: int, new_size: int, alignment: int) -> int | None:
        fresh = self.allocate(new_size, alignment)
        if fresh is not None:
            kept = min(old_size, new_size)
            self.region.memory[fresh : fresh + kept] = self.region.memory[offset : offset + kept]
            self.deallocate(offset, old_size, alignment)
        return fresh
