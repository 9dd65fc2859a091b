"""Estimates the remaining time of a run from the durations of its samples, pass by pass."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from memtool.passes import Pass


@dataclass(slots=True)
class Estimate:
    """Remaining seconds; each pass by the mean of its own samples, because passes differ by a factor of ten."""

    clock: Callable[[], float] = time.monotonic
    _left: Counter[Pass] = field(default_factory=Counter)
    _taken: Counter[Pass] = field(default_factory=Counter)
    _seconds: dict[Pass, float] = field(default_factory=dict)
    _last: float | None = None
    _current: Pass | None = None

    def expect(self, samples: Mapping[Pass, int]) -> None:
        """Add samples that will be taken."""
        self._left.update(samples)

    def begin(self, run_pass: Pass) -> None:
        """Record that a sample begins, which implies that the one before it has ended."""
        now = self.clock()
        if self._current is not None and self._last is not None:
            self._taken[self._current] += 1
            self._seconds[self._current] = self._seconds.get(self._current, 0.0) + now - self._last
        self._current, self._last = run_pass, now
        self._left[run_pass] -= 1

    def skip(self, run_pass: Pass) -> None:
        """Record that an expected sample is not taken: it exists already, or its cell has failed."""
        self._left[run_pass] -= 1

    def seconds_left(self) -> float | None:
        """Return the remaining seconds, including the current sample; None before one has ended."""
        unit = [self._seconds[taken] / self._taken[taken] / taken.declared.usual for taken in self._taken]
        if not unit:
            return None
        usual = sum(unit) / len(unit)
        left = self._left + Counter([self._current] if self._current is not None else [])
        return sum(count * self._mean(run_pass, usual) for run_pass, count in left.items())

    def _mean(self, run_pass: Pass, usual: float) -> float:
        taken = self._taken[run_pass]
        return self._seconds[run_pass] / taken if taken else usual * run_pass.declared.usual
