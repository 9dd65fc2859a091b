"""Waits of the main thread that an interrupt always ends.

Python raises KeyboardInterrupt in the main thread before its next instruction, and a signal wakes a thread that sleeps.
A signal which arrives after the last look for one, and before the thread is asleep, does neither. This happens while
another thread asks for the interpreter's lock, which the main thread hands over before it sleeps. A wait without an end
would then last until what is waited for has ended, which may take hours. So no wait is longer than a moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

T = TypeVar("T")
MOMENT_SECONDS = 0.5
"""Longest sleep between two looks for an interrupt; waking up takes some 20 microseconds."""


def completed(futures: Collection[Future[T]]) -> Iterator[Future[T]]:
    """Yield futures as they end."""
    running = set(futures)
    while running:
        ended, running = wait(running, MOMENT_SECONDS, FIRST_COMPLETED)
        yield from ended


def result(future: Future[T]) -> T:
    """Return what a future comes to, or raise what it raises."""
    return next(completed([future])).result()
