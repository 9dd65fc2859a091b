"""The live blocks of a process when it forks, with which the trace of its child begins."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

_MOST_BYTES = 256 << 20
"""Bytes that are kept for children that have not been seen yet."""
_MOST_UNASKED = 1 << 16
"""Blocks that are kept for a child that has not been seen yet. A program with many blocks may fork only to start other
programs, whose processes would never need them."""


class Inheritance:
    """Hands the live blocks of parents on to their children; a fork is identified by its process and its time.

    A child is seen when it first allocates or frees memory. A child that does so long after the fork begins without
    blocks if there were too many to keep.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], bytearray] = OrderedDict()
        self._bytes = 0
        self._heirs: set[tuple[int, int]] = set()

    def expect(self, process: int, ticks: int) -> None:
        """Record that a child of this fork was seen."""
        self._heirs.add((process, ticks))

    def leave(self, process: int, ticks: int, blocks: int, live: Callable[[], bytearray]) -> None:
        """Keep the blocks that are live at a fork, if a child may still need them. Raises EngineError."""
        fork = process, ticks
        if fork not in self._heirs and blocks > _MOST_UNASKED:
            return
        self._kept[fork] = live()
        self._bytes += len(self._kept[fork])
        for other in [other for other in self._kept if other not in self._heirs]:
            if self._bytes <= _MOST_BYTES:
                break
            self._bytes -= len(self._kept.pop(other))

    def take(self, process: int, ticks: int) -> bytearray | None:
        """Return the blocks that were live at a fork, as allocations; None: unknown."""
        live = self._kept.pop((process, ticks), None)
        self._bytes -= 0 if live is None else len(live)
        return live
