"""Classes of sizes and lifetimes, fine where allocators tell sizes apart, coarse where only the magnitude counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_EXACT = 1024
"""Bytes: sizes up to here have a class each."""
_STEPS = 32
"""Classes of larger sizes to an octave."""
_LARGEST = 58
SIZES = _EXACT + 1 + _STEPS * (_LARGEST - _EXACT.bit_length() + 1)
LIFETIMES = 64
"""1 to 8 allocations have a class each, then two an octave; the last two are of other kinds."""
_SINGLE = 8
AT_END, NEVER = LIFETIMES - 2, LIFETIMES - 1
"""Freed after the last allocation; left to the epilogue."""
_LONGEST = AT_END - 1
SLOTS = 128
"""Stretches of a trace, of as many allocations each; at least half of them are used where a trace is long enough."""
TOGETHER = LIFETIMES
"""From here on, classes of what dies together with many others: one for each slot in which it dies."""
CLASSES = TOGETHER + SLOTS


def size_classes(sizes: Integers) -> Integers:
    """Return the class of each size in bytes, from 0 up."""
    large = np.maximum(sizes, 1)
    octave = _octaves(large)
    step = (large >> np.maximum(octave - 5, 0)) - _STEPS
    above = _EXACT + 1 + (octave - (_EXACT.bit_length() - 1)) * _STEPS + step
    return np.where(sizes <= _EXACT, sizes, np.minimum(above, SIZES - 1))


def lifetime_classes(lifetimes: Integers) -> Integers:
    """Return the class of each lifetime in allocations, from 1 up."""
    octave = _octaves(lifetimes)
    half = (lifetimes >> np.maximum(octave - 1, 0)) & 1
    longer = _SINGLE + 2 * (octave - 3) + half
    return np.minimum(np.where(lifetimes <= _SINGLE, lifetimes - 1, longer), _LONGEST)


def lifetime_range(index: int) -> tuple[int, int]:
    """Return the least and the largest lifetime of a class, both included."""
    if index < _SINGLE:
        return index + 1, index + 1
    octave, half = divmod(index - _SINGLE, 2)
    low = (1 << (octave + 3)) + half * (1 << (octave + 2))
    high = low + (1 << (octave + 2)) - 1
    return max(low, _SINGLE + 1), high


def _octaves(values: Integers) -> Integers:
    """Return the floor of log2 of positive whole numbers."""
    _, exponents = np.frexp(values.astype(np.longdouble))
    return exponents.astype(np.int64) - 1
