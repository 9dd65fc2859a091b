"""Row 8: the free-space simulator that accompanies Operating Systems: Three Easy Pieces, chapter 17 (vm-freespace).

The simulator keeps a list of holes and hands out numbers. What it does is written down twice: as a model here, to
compare addresses with over any sequence, and as parameters of the strategy `free-list`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace

from memtool.engine.abi.binding import Heap
from verification.outcome import Line, Result, Verdict

BASE = 1000
"""The simulator's default for -b."""

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
        index = min(fitting, key=choose[self.settings.policy])
        address, hole = self.holes[index]
        self.holes[index : index + 1] = [(address + need, hole - need)] if hole > need else []
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


@dataclass(frozen=True, slots=True)
class Example:
    """A command of the simulator's documentation and the addresses that it prints."""

    command: str
    settings: Settings
    operations: int
    addresses: tuple[int, ...]


_HEADERS = Settings(header=4, alignment=4)
EXAMPLES = (
    Example("-S 100 -b 1000 -H 4 -a 4 -l ADDRSORT -p BEST -n 5", _HEADERS, 5, (1004, 1012, 1012)),
    Example(
        "-S 100 -b 1000 -H 4 -a 4 -l ADDRSORT -p BEST -n 5 -C", replace(_HEADERS, coalesce=True), 5, (1004, 1004, 1004)
    ),
    Example("-n 10 -H 0 -p BEST -s 0", Settings(), 10, (1000, 1003, 1008, 1008, 1000, 1008)),
    Example("-n 10 -H 0 -p WORST -s 0", Settings(policy="WORST"), 10, (1000, 1003, 1008, 1016, 1024, 1026)),
    Example("-n 10 -H 0 -p FIRST -s 0", Settings(policy="FIRST"), 10, (1000, 1003, 1008, 1008, 1000, 1008)),
)
EVERY_CHOICE = tuple(
    Settings(100, header, alignment, policy, order, coalesce)
    for header, alignment in [(0, 1), (4, 4), (4, 8), (8, 3)]
    for policy, order, coalesce in itertools.product(POLICIES, ORDERS, [False, True])
)


def replay(requests: Requests, settings: Settings, *others: str) -> tuple[list[int | None], list[int | None]]:
    """Return the addresses that `free-list` hands out, and those that the model does for the same requests.

    ``others`` are further parameters of the strategy, which come to stand last. Both are asked to free the block that
    was asked for at the same place, and what follows depends on what the strategy served.
    """
    simulator = Simulator(settings)
    live: list[tuple[int, int, int | None]] = []
    ours: list[int | None] = []
    models: list[int | None] = []
    with Heap("free-list", ",".join((settings.parameters, *others)), capacity=1 << 16) as heap:
        served: bool | None = None
        while True:
            try:
                kind, number = requests.send(served)
            except StopIteration:
                return ours, models
            if kind == "allocate":
                address, model = heap.allocate(number, 1), simulator.allocate(number)
                ours.append(address)
                models.append(model)
                served = address is not None
                if address is not None:
                    live.append((address, number, model))
            else:
                address, size, model = live.pop(number)
                heap.deallocate(address, size, 1)
                if model is not None:
                    simulator.deallocate(model)
            heap.check()


def lines(*others: str) -> Iterator[Line]:
    """Compare addresses with those that are printed, and with the model's for every choice of the simulator."""
    for example in EXAMPLES:
        ours, models = replay(random_requests(example.operations), example.settings, *others)
        engine, model = (tuple(BASE + offset for offset in answers if offset is not None) for answers in (ours, models))
        yield Line(
            f"addresses, malloc.py {example.command}",
            " ".join(map(str, example.addresses)),
            " ".join(map(str, engine)),
            Verdict.of(engine == model == example.addresses),
        )
    count = differing = 0
    for settings in EVERY_CHOICE:
        for requests in (random_requests(400, 1, 14, 0.55), random_requests(400, 2, 30)):
            ours, models = replay(requests, settings, *others)
            count += len(ours)
            differing += sum(address != model for address, model in zip(ours, models, strict=True))
    yield Line(
        f"addresses, every -p, -l and -C with four headers and alignments, {count:,} requests",
        "the simulator's rules, written anew",
        "the same" if not differing else f"{differing:,} differ",
        Verdict.of(not differing),
    )


FREE_SPACE = Result(
    8,
    "The free-space simulator",
    "Arpaci-Dusseau 2018",
    "Arpaci-Dusseau and Arpaci-Dusseau: Operating Systems: Three Easy Pieces, 2018, 17; ostep-homework, "
    "vm-freespace/malloc.py and README.md",
    exact=lines,
)
