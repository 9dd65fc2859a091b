"""Waits of the main thread that an interrupt always ends.

Python raises KeyboardInterrupt in the main thread before its next instruction, and a signal wakes a sleeping thread. A
signal that arrives between the last check and the start of the sleep does neither. This happens while another thread
requests the interpreter's lock, which the main thread releases before it sleeps. An unlimited wait would then continue
until the awaited event, which may take hours. So every wait is short.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

T = TypeVar("T")
MOMENT_SECONDS = 0.5
"""Longest sleep between two checks for an interrupt; waking up takes some 20 microseconds."""


def completed(futures: Collection[Future[T]]) -> Iterator[Future[T]]:
    """Yield futures as they end."""
    running = set(futures)
    while running:
        ended, running = wait(running, MOMENT_SECONDS, FIRST_COMPLETED)
        yield from ended


def result(future: Future[T]) -> T:
    """Return the result of a future, or raise its exception."""
    return next(completed([future])).result()
