"""Call stacks of a trace: events refer to them by number, and a table maps each number to return addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Frames = Mapping[int, Sequence[int]]
"""Number of a stack -> return addresses, the innermost first. 0 stands for no stack."""


def callers_of(stacks: NDArray[np.uint64], frames: Frames) -> NDArray[np.uint64]:
    """Return the call site of each event, from the number of its stack; 0 where it is unknown."""
    numbers, places = np.unique(stacks, return_inverse=True)
    innermost = [frames[number][0] if frames.get(number) else 0 for number in numbers.tolist()]
    callers: NDArray[np.uint64] = np.array(innermost, np.uint64)[places]
    return callers


class FirstUses:
    """Determines for each event whether it is the first with its stack."""

    def __init__(self) -> None:
        self._known = {0}

    def frames(self, stacks: NDArray[np.uint64], frames: Frames) -> list[Sequence[int] | None]:
        """Return the return addresses for each event that is the first with its stack, and None for the others."""
        column: list[Sequence[int] | None] = [None] * len(stacks)
        numbers, places = np.unique(stacks, return_index=True)
        for number, place in zip(numbers.tolist(), places.tolist(), strict=True):
            if number not in self._known:
                self._known.add(number)
                column[place] = frames.get(number)
        return column
