"""Progress of reading events: a pass over 10^9 of them takes minutes, while someone waits at a terminal.

A caller that shows progress wraps the call in ``showing_progress``, and the code that reads events reports to it. The
kinds of work lie between the two and are not involved.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import IO

Show = Callable[[str, int, int | None, float | None], None]
"""Called with the name of the source, events so far, and, where they are known, events in all and seconds left."""
_EVERY_SECONDS = 0.5
_FIRST_SECONDS = 2.0
"""Seconds before the first estimate: earlier than that there is little data for one, and nobody needs it."""
_watcher: ContextVar[Show | None] = ContextVar("watcher", default=None)
_current_file: ContextVar[IO[bytes] | None] = ContextVar("file", default=None)


@contextmanager
def showing_progress(show: Show) -> Iterator[None]:
    """Show the progress of all reading within the block."""
    token = _watcher.set(show)
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def from_file(file: IO[bytes]) -> Iterator[None]:
    """Estimate the progress of events that nobody has counted by the position in this file, compressed or not."""
    before = _current_file.get()
    _current_file.set(file)
    try:
        yield
    finally:
        _current_file.set(before)  # not by a token: a generator may be closed in another context


@dataclass(slots=True)
class Reading:
    """One pass over the events of a source."""

    what: str
    expected: int | None = None
    """Approximate number of events; None: unknown."""
    clock: Callable[[], float] = time.monotonic
    events: int = 0
    _show: Show | None = field(init=False)
    _began: float = field(init=False)
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        self._show, self._began = _watcher.get(), self.clock()
        self._next = self._began + _FIRST_SECONDS

    def add(self, events: int) -> None:
        """Count events that have been read, and show the progress from time to time."""
        self.events += events
        if self._show is None or (now := self.clock()) < self._next:
            return
        self._next = now + _EVERY_SECONDS
        share = self._share()
        total = self.expected if self.expected is not None else None if share is None else round(self.events / share)
        left = None if share is None else (now - self._began) * (1 / share - 1)
        self._show(self.what, self.events, total, left)

    def _share(self) -> float | None:
        """Return the share that has been read; None: unknown."""
        if self.expected is not None:
            return min(1.0, self.events / self.expected) if self.expected else None
        file = _current_file.get()
        if file is None or file.closed or not file.seekable():
            return None
        size = os.fstat(file.fileno()).st_size
        return min(1.0, file.tell() / size) if size and file.tell() else None
