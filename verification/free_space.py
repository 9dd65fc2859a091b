"""Row 8: the free-space simulator that accompanies Operating Systems: Three Easy Pieces, chapter 17 (vm-freespace).

The simulator keeps a list of holes and hands out numbers. What it does is written down twice: as a model here, to
compare addresses with over any sequence, and as parameters of the strategy `free-list`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

ORDERS = {
    "ADDRSORT": "address",
    "SIZESORT+": "size-ascending",
    "SIZESORT-": "size-descending",
    "INSERT-FRONT": "lifo",
    "INSERT-BACK": "fifo",
}
POLICIES = ("FIRST", "BEST", "WORST")
Requests = Generator[tuple[str, int], bool | None, None]


@dataclass(frozen=True, slots=True)
class Settings:
    """The simulator's options: -S, -H, -a (1 for none), -p, -l, -C. Addresses count from the heap's base, -b."""

    size: int = 100
    header: int = 0
    alignment: int = 1
    policy: str = "BEST"
    order: str = "ADDRSORT"
    coalesce: bool = False

    @property
    def parameters(self) -> str:
        """Return the same as parameters of `free-list`. Its alignment only rounds requests up."""
        return (
            f"structure=apart,fit={self.policy.lower()},order={ORDERS[self.order]},remainder=place,"
            f"coalescing={'listed' if self.coalesce else 'none'},header={self.header},footer=0,alignment=1,"
            f"round={self.alignment},initial={self.size},grow=0"
        )


@dataclass
class Simulator:
    """The model. It has no headers: addresses are those of the blocks, and the header is part of them."""

    settings: Settings
    holes: list[tuple[int, int]] = field(default_factory=list)
    used: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.holes = [(0, self.settings.size)]

    def allocate(self, size: int) -> int | None:
        """Return the payload's address; None where no hole is large enough."""
        need = -(-size // self.settings.alignment) * self.settings.alignment + self.settings.header
        fitting = [place for place, (_, hole) in enumerate(self.holes) if hole >= need]
        if not fitting:
            return None
        choose: dict[str, Callable[[int], int]] = {
            "FIRST": lambda place: place,
            "BEST": lambda place: self.holes[place][1],
            "WORST": lambda place: -self.holes[place][1],
        }
        found = min(fitting, key=choose[self.settings.policy])
        address, hole = self.holes[found]
        self.holes[found : found + 1] = [(address + need, hole - need)] if hole > need else []
        self.used[address] = need
        return address + self.settings.header

    def deallocate(self, payload: int) -> None:
        """Free a block; the list is put in order, and then merged as it stands."""
        address = payload - self.settings.header
        freed = (address, self.used.pop(address))
        front = self.settings.order == "INSERT-FRONT"
        self.holes.insert(0 if front else len(self.holes), freed)
        keys: dict[str, Callable[[tuple[int, int]], int]] = {
            "ADDRSORT": lambda hole: hole[0],
            "SIZESORT+": lambda hole: hole[1],
            "SIZESORT-": lambda hole: -hole[1],
        }
        if self.settings.order in keys:
            self.holes.sort(key=keys[self.settings.order])
        if self.settings.coalesce:
            self._merge()

    def _merge(self) -> None:
        merged = self.holes[:1]
        for address, size in self.holes[1:]:
            before, bytes_before = merged[-1]
            if before + bytes_before == address:
                merged[-1] = (before, bytes_before + size)
            else:
                merged.append((address, size))
        self.holes = merged


def random_requests(operations: int, seed: int = 0, largest: int = 10, share: float = 0.5) -> Requests:
    """Draw requests as the simulator does with -n, -s, -r and -P: ("allocate", bytes) or ("deallocate", place).

    Send back whether an allocation was served; ``place`` is that of the block among the live ones, oldest first.
    """
    draw = random.Random(seed)
    live = done = 0
    while done < operations:
        if draw.random() < share:
            served = yield ("allocate", int(draw.random() * largest) + 1)
            live += bool(served)
        elif live:
            yield ("deallocate", int(draw.random() * live))
            live -= 1
        else:
            continue
        done += 1
