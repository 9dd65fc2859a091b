"""Plain Python twins of strategies that no reference is shipped for: what they hand out."""

from __future__ import annotations

from collections.abc import Iterator

from memtool.allocators.interpreted import Region, align_up
from memtool.allocators.reference.best_fit import BestFit
from memtool.allocators.reference.first_fit import FirstFit
from memtool.allocators.reference.tlsf import Tlsf


class WorstFit(BestFit):
    """The largest free block, of equal ones the lowest."""

    def choose(self, need: int) -> tuple[int | None, int]:
        """Return the largest of the free blocks, if it is large enough."""
        count, start = min(((-count, start) for start, count in self.free.items()), default=(0, None))
        return (start if -count >= need else None), need


class NextFit(FirstFit):
    """First fit from the place where the last search ended, or where the block begins that this was merged into."""

    rover = 0

    def choose(self, need: int) -> tuple[int | None, int]:
        """Return the first free block from the rover on, or else from the heap's start."""
        fitting = sorted(start for start, count in self.free.items() if count >= need)
        start = next((start for start in fitting if start >= self.rover), min(fitting, default=None))
        self.rover = self.rover if start is None else start
        return start, need

    def link(self, start: int, count: int) -> None:
        """Enter a free block."""
        super().link(start, count)
        if start < self.rover < start + count:
            self.rover = start


class HalfFit(Tlsf):
    """One class for each power of two, and nothing is rounded but the search."""

    def __init__(self, region: Region, grow: int, initial: int = 0) -> None:
        super().__init__(region, "1", grow, initial)

    def choose(self, need: int) -> tuple[int | None, int]:
        """Return the youngest block of the lowest class that is sure to serve."""
        return super().choose(need)[0], need


class SegregatedFit(Tlsf):
    """The class of the request is searched, the youngest first; any block of a higher one serves."""

    def __init__(self, region: Region, classes: str, grow: int, initial: int = 0) -> None:
        super().__init__(region, classes, grow, initial)

    def choose(self, need: int) -> tuple[int | None, int]:
        """Return the first block that serves."""
        own = self.class_of(need)
        for start in reversed(self.classes.get(own, [])):
            if self.free[start] >= need:
                return start, need
        higher = [number for number, starts in self.classes.items() if starts and number > own]
        return (self.classes[min(higher)][-1] if higher else None), need

    def largest(self) -> int:
        """Return the largest block of the highest class, or the heap's last one where it is tried."""
        highest = max(number for number, starts in self.classes.items() if starts)
        last = 0 if self.is_pool else self.free.get(self.free_by_end.get(self.end, self.end), 0)
        return max(last, *(self.free[start] for start in self.classes[highest]))


class FreeList:
    """The textbook's list: blocks end to end, a list of the free ones in some order, neighbours merged when freed."""

    def __init__(
        self,
        region: Region,
        *,
        fit: str = "first",
        order: str = "address",
        extend: str = "gap",
        header: int = 8,
        footer: int = 8,
        alignment: int = 16,
        grow: int = 64 << 10,
        initial: int = 0,
    ) -> None:
        self.region, self.fit, self.order, self.gap = region, fit, order, extend == "gap"
        self.header, self.footer, self.alignment, self.grow = header, footer, alignment, grow
        self.minimum = align_up(header + footer + 16, alignment)  # a free block holds two links
        self.lead = -header % alignment
        region.grow(self.lead)
        self.end = self.lead
        self.blocks: dict[int, int] = {}
        """Where blocks begin -> their bytes."""
        self.listed: list[int] = []
        """Where the free ones begin, in the order of the list."""
        self.rover = 0
        left = (region.capacity - region.used) // alignment * alignment
        initial = min(align_up(initial, alignment), left)
        if initial >= self.minimum:
            self._append(initial)
            self._insert(self.lead)

    def allocate(self, size: int, alignment: int) -> int | None:
        """Take the block that the fit chooses, cut as far as what is left can be a block."""
        if size >= self.region.capacity or alignment >= self.region.capacity:
            return None
        need = max(self.minimum, align_up(self.header + size + self.footer, self.alignment))
        start = self._search(need, alignment)
        searched = start is not None
        if start is None:
            start = self._extend(need, alignment)
        if start is None:
            return None
        lead, count = self._lead(start, alignment), self.blocks[start]
        used = start + lead
        if lead:
            self.blocks[start], self.blocks[used] = lead, count - lead
            self._relist(start)
        else:
            self.listed.remove(start)
        self.rover = used if searched else self.rover
        rest = self.blocks[used] - need
        if rest >= self.minimum:
            self.blocks[used], self.blocks[used + need] = need, rest
            self._insert(used + need)
        return used + self.header

    def deallocate(self, offset: int, size: int, alignment: int) -> None:
        """Free a block."""
        self._release(offset - self.header)

    def usable_size(self, offset: int, size: int) -> int:
        """Return what lies between header and footer."""
        return self.blocks[offset - self.header] - self.header - self.footer

    def stats(self) -> dict[str, int]:
        """Return the figures; every block has a header and a footer."""
        overhead, free = self.header + self.footer, sum(self.blocks[start] for start in self.listed)
        used_blocks = len(self.blocks) - len(self.listed)
        return {
            "granted": sum(self.blocks.values()) - free - used_blocks * overhead,
            "free_bytes": free - len(self.listed) * overhead,
            "free_blocks": len(self.listed),
            "used_blocks": used_blocks,
            "metadata_bytes": self.lead + len(self.blocks) * overhead,
        }

    def walk(self) -> Iterator[tuple[int, int, str]]:
        """Yield headers, payloads and footers in address order."""
        parts = [(0, self.lead, "metadata")]
        for start, count in sorted(self.blocks.items()):
            payload = count - self.header - self.footer
            parts.append((start, self.header, "metadata"))
            parts.append((start + self.header, payload, "free" if start in self.listed else "used"))
            parts.append((start + self.header + payload, self.footer, "metadata"))
        return (part for part in parts if part[1])

    def check(self) -> None:
        """Blocks lie end to end, and no two free ones touch."""
        at, was_free = self.lead, False
        for start, count in sorted(self.blocks.items()):
            assert start == at
            assert not (was_free and start in self.listed)
            at, was_free = start + count, start in self.listed
        assert at == self.end == self.region.used

    def _lead(self, start: int, alignment: int) -> int:
        payload = self.region.base + start + self.header
        if alignment <= max(self.alignment, 16) or payload % alignment == 0:
            return 0
        return align_up(payload + self.minimum, alignment) - payload

    def _search(self, need: int, alignment: int) -> int | None:
        serving = [start for start in self.listed if self.blocks[start] >= need + self._lead(start, alignment)]
        if self.fit == "next":
            serving = [start for start in serving if start >= self.rover] or serving
        elif self.fit != "first":
            # Of equal ones the first in the list: sorting keeps their order.
            serving.sort(key=self.blocks.__getitem__, reverse=self.fit == "worst")
        return serving[0] if serving else None

    def _insert(self, start: int) -> None:
        count = self.blocks[start]
        place = {
            "lifo": 0,
            "fifo": len(self.listed),
            "address": sum(other < start for other in self.listed),
            "size-ascending": sum(self.blocks[other] <= count for other in self.listed),
            "size-descending": sum(self.blocks[other] >= count for other in self.listed),
        }[self.order]
        self.listed.insert(place, start)

    def _relist(self, start: int) -> None:
        if self.order.startswith("size"):
            self.listed.remove(start)
            self._insert(start)

    def _append(self, count: int) -> int:
        assert self.region.grow(count) is not None
        start, self.end = self.end, self.end + count
        self.blocks[start] = count
        return start

    def _extend(self, need: int, alignment: int) -> int | None:
        last = max(self.blocks, default=None)
        extends = self.gap and last is not None and last in self.listed
        have = self.blocks[last] if extends and last is not None else 0
        least = self._lead(self.end - have, alignment) + need - have
        for wanted in (max(least, self.grow), least):
            count = align_up(wanted, self.alignment)
            if self.grow == 0 or self.region.used + count > self.region.capacity:
                continue
            if last is None or not extends:
                return self._release(self._append(count))
            self.blocks[last] += self.blocks.pop(self._append(count))
            self._relist(last)
            return last
        return None

    def _release(self, start: int) -> int:
        behind = start + self.blocks[start]
        if behind in self.listed:
            self._absorb(start, behind)
        before = next((free for free in self.listed if free + self.blocks[free] == start), None)
        if before is not None:
            if self.order == "address":
                self._join(before, start)
                return before
            self.listed.remove(before)
            self._join(before, start)
            start = before
        self._insert(start)
        return start

    def _absorb(self, start: int, behind: int) -> None:
        self.listed.remove(behind)
        self._join(start, behind)

    def _join(self, start: int, behind: int) -> None:
        self.blocks[start] += self.blocks.pop(behind)
        if self.rover == behind:
            self.rover = start
