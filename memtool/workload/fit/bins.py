"""Classes of sizes and lifetimes: fine where allocators distinguish sizes, coarse where only the magnitude matters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_EXACT = 1024
"""Bytes: sizes up to here have a class each."""
_STEPS = 32
"""Number of classes in each octave of larger sizes."""
_LARGEST = 58
SIZES = _EXACT + 1 + _STEPS * (_LARGEST - _EXACT.bit_length() + 1)
LIFETIMES = 64
"""Lifetimes of 1 to 8 allocations have a class each, followed by two classes an octave, and two special classes."""
_SINGLE = 8
AT_END, NEVER = LIFETIMES - 2, LIFETIMES - 1
"""The special classes: freed after the last allocation, and left to the epilogue."""
_LONGEST = AT_END - 1
SLOTS = 128
"""Slots of a trace, with equal numbers of allocations; at least half of them are used where a trace is long enough."""
TOGETHER = LIFETIMES
"""First of the classes of objects that die together with many others: one for each slot in which they die."""
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
    """Return the smallest and the largest lifetime of a class, both included."""
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
