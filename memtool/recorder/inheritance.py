"""What is live in a process when it forks: the trace of its child begins with that."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

_MOST_BYTES = 256 << 20
"""Of what is kept for children that have not been seen yet."""
_MOST_UNASKED = 1 << 16
"""Blocks that are kept for a child that has not been seen yet: a program with many of them may fork for programs that
it starts, and none of them would ever ask for the blocks."""


class Inheritance:
    """Hands what is live in parents on to their children; a fork is known by its process and its time.

    A child is seen when it first asks for memory or frees some. One that does so long after the fork begins with
    nothing where there was too much to keep.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], bytearray] = OrderedDict()
        self._bytes = 0
        self._heirs: set[tuple[int, int]] = set()

    def expect(self, process: int, ticks: int) -> None:
        """Note that there is a child of that fork."""
        self._heirs.add((process, ticks))

    def leave(self, process: int, ticks: int, blocks: int, live: Callable[[], bytearray]) -> None:
        """Keep what is live at a fork, where a child may still ask for it. Raises EngineError."""
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
        """Return what was live at a fork, as allocations; None: nobody knows."""
        live = self._kept.pop((process, ticks), None)
        self._bytes -= 0 if live is None else len(live)
        return live
