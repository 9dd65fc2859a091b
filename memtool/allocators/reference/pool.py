"""A fixed-size pool with an intrusive free list: the oracle of the engine's ``pool``."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from memtool.allocators.interpreted import Parameter, Region, align_up
from memtool.units import GIB, MIB

_LINK = struct.Struct("<Q")
_NONE = 2**64 - 1


class Pool:
    """Blocks of one size; free ones are linked through their own first eight bytes, last in, first out."""

    source = 'Kenwright, "Fast efficient fixed-size memory pool", Computation Tools 2012'
    complexity = "allocate O(1), deallocate O(1)"
    when = "to read, and to compare with pool"
    parameters = (
        Parameter("block", "size of every block, in multiples of 8", "64", minimum=1, maximum=MIB, unit="bytes"),
        Parameter("chunk", "bytes taken from the region at a time", "64KiB", minimum=4096, maximum=GIB, unit="bytes"),
    )

    def __init__(self, region: Region, block: int, chunk: int) -> None:
        """Take the region, the size of a block and that of a chunk."""
        self.region = region
        self.block = self.stride(block)
        self.chunk = max(chunk // self.block, 1) * self.block
        self.top = _NONE
        """The block that was freed last, which contains the offset of the one freed before it."""
        self.fresh = 0
        """Offset from which on no block has been allocated."""

    @staticmethod
    def stride(block: int) -> int:
        """Return the distance between blocks: a link must fit, and be aligned."""
        return align_up(block, _LINK.size)

    @classmethod
    def limits(cls, block: int, chunk: int) -> tuple[int, int]:
        """Return the largest size and alignment."""
        stride = cls.stride(block)
        return block, min(stride & -stride, 4096)

    def allocate(self, size: int, alignment: int) -> int | None:
        """Return the block that was freed last, or else the next one that was never used."""
        if self.top != _NONE:
            offset = self.top
            (self.top,) = _LINK.unpack_from(self.region.memory, offset)
            return offset
        if self.fresh == self.region.used and not self._grow():
            return None
        offset = self.fresh
        self.fresh += self.block
        return offset

    def deallocate(self, offset: int, size: int, alignment: int) -> None:
        """Put a block on top of the free list."""
        _LINK.pack_into(self.region.memory, offset, self.top)
        self.top = offset

    def usable_size(self, offset: int, size: int) -> int:
        """Return the size of every block."""
        return self.block

    def stats(self) -> dict[str, int]:
        """Return the pool's figures: it needs no memory for itself."""
        free = len(self._listed()) + (self.region.used - self.fresh) // self.block
        used = self.region.used // self.block - free
        return {
            "granted": used * self.block,
            "free_bytes": free * self.block,
            "free_blocks": free,
            "used_blocks": used,
            "metadata_bytes": 0,
        }

    def walk(self) -> Iterator[tuple[int, int, str]]:
        """Yield every block."""
        listed = set(self._listed())
        for offset in range(0, self.region.used, self.block):
            yield offset, self.block, "free" if offset >= self.fresh or offset in listed else "used"

    def check(self) -> None:
        """The free list contains only blocks that were allocated before, each once."""
        listed = self._listed()
        assert len(set(listed)) == len(listed), "a block is in the free list twice"
        assert all(offset % self.block == 0 and offset < self.fresh for offset in listed), (
            "the free list leaves the pool"
        )

    def _listed(self) -> list[int]:
        blocks: list[int] = []
        offset = self.top
        while offset != _NONE and len(blocks) <= self.region.used // self.block:
            blocks.append(offset)
            (offset,) = _LINK.unpack_from(self.region.memory, offset)
        return blocks

    def _grow(self) -> bool:
        """Take a chunk, or the blocks that still fit into the region."""
        left = (self.region.capacity - self.region.used) // self.block * self.block
        taken = min(self.chunk, left)
        return taken > 0 and self.region.grow(taken) is not None
