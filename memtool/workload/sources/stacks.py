"""Call stacks of a trace: events name them by numbers, and a table says which return addresses these stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Frames = Mapping[int, Sequence[int]]
"""Number of a stack -> return addresses, the innermost first. 0 is no stack."""


def callers_of(stacks: NDArray[np.uint64], frames: Frames) -> NDArray[np.uint64]:
    """Return the call site of each event, of the number of its stack; 0 where that is not known."""
    numbers, places = np.unique(stacks, return_inverse=True)
    innermost = [frames[number][0] if frames.get(number) else 0 for number in numbers.tolist()]
    callers: NDArray[np.uint64] = np.array(innermost, np.uint64)[places]
    return callers


class FirstUses:
    """Says for each event whether it is the first to name its stack."""

    def __init__(self) -> None:
        self._known = {0}

    def frames(self, stacks: NDArray[np.uint64], frames: Frames) -> list[Sequence[int] | None]:
        """Return the return addresses for each event that is the first with its stack; None for others."""
        column: list[Sequence[int] | None] = [None] * len(stacks)
        numbers, places = np.unique(stacks, return_index=True)
        for number, place in zip(numbers.tolist(), places.tolist(), strict=True):
            if number not in self._known:
                self._known.add(number)
                column[place] = frames.get(number)
        return column
