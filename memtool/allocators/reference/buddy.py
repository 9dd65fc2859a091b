"""Binary buddies: the oracle of the engine's ``buddy`` for the content of blocks; the engine's map is in its heap."""

from __future__ import annotations

from collections.abc import Iterator

from memtool.allocators.interpreted import Parameter, Region, align_up
from memtool.units import GIB, MIB


class Buddy:
    """Power-of-two blocks, each aligned to its size; blocks are split into halves, and merged again, by address."""

    source = "Knowlton: A fast storage allocator, CACM 8(10), 1965; Knuth: TAOCP 1, 2.5, algorithms R and S"
    complexity = "allocate and deallocate O(log n), n the largest block in smallest blocks"
    when = "to read, and to compare with buddy"
    parameters = (
        Parameter(
            "minimum", "size of the smallest block, a power of two", "16", minimum=16, maximum=4096, unit="bytes"
        ),
        Parameter(
            "chunk", "bytes by which the heap grows, a power of two", "64KiB", minimum=4096, maximum=GIB, unit="bytes"
        ),
    )

    def __init__(self, region: Region, minimum: int, chunk: int) -> None:
        """Take the region, the smallest block and the growth step."""
        for name, value in (("minimum", minimum), ("chunk", chunk)):
            if value & (value - 1):
                raise ValueError(f"{name}: must be a power of two, is {value}")
        self.region = region
        self.minimum, self.chunk = minimum, chunk
        self.used: dict[int, int] = {}
        """Offset of a block -> log2 of its bytes."""
        self.free: dict[int, list[int]] = {}
        """Log2 of the bytes -> offsets of free blocks, the youngest last."""

    @staticmethod
    def limits(minimum: int, chunk: int) -> tuple[None, int]:
        """Return the largest alignment: blocks are aligned to their size, relative to an address of this alignment."""
        return None, 2 * MIB

    def order_for(self, size: int, alignment: int) -> int:
        """Return the log2 of the block that serves a request."""
        return (max(size, alignment, self.minimum) - 1).bit_length()

    def allocate(self, size: int, alignment: int) -> int | None:
        """Split the smallest sufficient block until it is just large enough."""
        order = self.order_for(size, alignment)
        if 1 << order > self.region.capacity or alignment > 2 * MIB:
            return None
        level_of_block = min((level for level, blocks in self.free.items() if blocks and level >= order), default=None)
        if level_of_block is None:
            if not self._grow(order):
                return None
            level_of_block = min(level for level, blocks in self.free.items() if blocks and level >= order)
        offset = self.free[level_of_block].pop()
        for half in range(level_of_block - 1, order - 1, -1):
            self.free.setdefault(half, []).append(offset + (1 << half))
        self.used[offset] = order
        return offset

    def deallocate(self, offset: int, size: int, alignment: int) -> None:
        """Free a block; it is merged with its buddy as long as that is free and whole."""
        self._release(offset, self.used.pop(offset))

    def usable_size(self, offset: int, size: int) -> int:
        """Return the size of the whole block."""
        return 1 << self.used[offset]

    def stats(self) -> dict[str, int]:
        """Return the figures; the accounts are Python objects, so nothing in the region is metadata."""
        granted = sum(1 << order for order in self.used.values())
        return {
            "granted": granted,
            "free_bytes": self.region.used - granted,
            "largest_free": max((1 << order for order, blocks in self.free.items() if blocks), default=0),
            "free_blocks": sum(map(len, self.free.values())),
            "used_blocks": len(self.used),
            "metadata_bytes": 0,
        }

    def walk(self) -> Iterator[tuple[int, int, str]]:
        """Yield every block."""
        free = {offset: order for order, blocks in self.free.items() for offset in blocks}
        for offset, order in sorted((self.used | free).items()):
            yield offset, 1 << order, "free" if offset in free else "used"

    def check(self) -> None:
        """Blocks are contiguous, each is aligned to its size, and no two free ones are buddies."""
        at = 0
        for offset, count, state in self.walk():
            assert offset == at, "a block does not begin where the one before it ends"
            assert (self.region.base + offset) % count == 0, "a block is not aligned to its size"
            buddy = self._buddy(offset, count.bit_length() - 1)
            merged = state == "used" or buddy not in self.free[count.bit_length() - 1]
            assert merged, "two free buddies were not merged"
            at += count
        assert at == self.region.used, "the blocks do not end where the heap does"

    def _buddy(self, offset: int, order: int) -> int:
        return (self.region.base + offset ^ 1 << order) - self.region.base

    def _release(self, offset: int, order: int) -> None:
        while (buddy := self._buddy(offset, order)) in self.free.get(order, ()):
            self.free[order].remove(buddy)
            offset, order = min(offset, buddy), order + 1
        self.free.setdefault(order, []).append(offset)

    def _grow(self, order: int) -> bool:
        """Take memory up to the end of a block of ``order``, in steps of a chunk if that much is left."""
        base, begin = self.region.base, self.region.used
        need = align_up(base + begin, 1 << order) + (1 << order) - base
        target = align_up(base + need, self.chunk) - base
        if self.region.grow(target - begin) is None:
            target = need
            if self.region.grow(target - begin) is None:
                return False
        while begin < target:
            address = base + begin
            largest = min((address & -address).bit_length(), (target - begin).bit_length()) - 1
            self._release(begin, largest)
            begin += 1 << largest
        return True
