"""Row 1: the malloc lab's implicit list, and those of its traces that follow from their description.

The lab (Bryant and O'Hallaron, Computer Systems: A Programmer's Perspective, 9.9.12) measures utilisation: the most
payload that was live at once, over the bytes of the heap at the end. Its allocator is written down as parameters alone;
`realloc` allocates, copies and frees, which is what a replay does where a strategy has no better way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from memtool.engine.abi.binding import Heap
from verification.outcome import Line, Result, Verdict

PARAMETERS = "structure=implicit,header=4,footer=4,alignment=8,minimum=16,initial=4096,grow=4096,extend=need"
"""The list as the book has it; which fit is still to be said."""
PUBLISHED: Mapping[str, Mapping[str, int]] = {
    "first": {"coalescing": 66, "binary": 55, "binary2": 51, "realloc": 27, "realloc2": 34},
    "next": {"coalescing": 66, "binary": 55, "binary2": 51, "realloc": 27, "realloc2": 45},
}
"""Fit -> trace -> utilisation in percent, rounded."""


class Request(NamedTuple):
    """One line of a trace: "a"llocate, "r"eallocate or "f"ree the block ``number``; ``size`` in bytes."""

    kind: str
    number: int
    size: int = 0


def _binary(pairs: int, small: int, large: int, both: int) -> Iterator[Request]:
    """Small and large blocks in turn; all the large ones are freed, and larger ones asked for that fit in no hole."""
    for pair in range(pairs):
        yield Request("a", 2 * pair, small)
        yield Request("a", 2 * pair + 1, large)
    yield from (Request("f", 2 * pair + 1) for pair in range(pairs))
    yield from (Request("a", 2 * pairs + number, both) for number in range(pairs))
    yield from (Request("f", 2 * pair) for pair in range(pairs))
    yield from (Request("f", 2 * pairs + number) for number in range(pairs))


def _coalescing() -> Iterator[Request]:
    """Two neighbours are freed, and a block of their joint size is asked for."""
    for number in range(0, 3 * 2400, 3):
        yield from (Request("a", number, 4095), Request("a", number + 1, 4095))
        yield from (Request("f", number), Request("f", number + 1))
        yield from (Request("a", number + 2, 8190), Request("f", number + 2))


def _growing(first: int, step: int, between: int) -> Iterator[Request]:
    """One block grows step by step, walled in each time by a small one that lives for a step."""
    yield from (Request("a", 0, first), Request("a", 1, between))
    for grown in range(1, 4800):
        yield Request("r", 0, first + grown * step)
        yield Request("a", grown + 1, between)
        yield Request("f", grown)
    yield from (Request("f", 0), Request("f", 4800))


def trace(name: str) -> Iterable[Request]:
    """Return the requests of a trace of that name, each block freed in the end."""
    traces: dict[str, Callable[[], Iterator[Request]]] = {
        "coalescing": _coalescing,
        "binary": lambda: _binary(2000, 64, 448, 512),
        "binary2": lambda: _binary(4000, 16, 112, 128),
        "realloc": lambda: _growing(512, 128, 128),
        "realloc2": lambda: _growing(4092, 5, 16),
    }
    return traces[name]()


def utilisation(requests: Iterable[Request], fit: str, *others: str) -> float:
    """Return what a trace makes of a heap, in percent; ``others`` are further parameters, which come to stand last.

    Raises MemoryError where a request cannot be served.
    """
    parameters = ",".join((f"fit={fit}", PARAMETERS, *others))
    live: dict[int, tuple[int, int]] = {}
    payload = most = 0
    with Heap("free-list", parameters, capacity=64 << 20) as heap:
        for kind, number, size in requests:
            offset, old = live.pop(number, (0, 0))
            payload += size - old
            if kind == "f":
                heap.deallocate(offset, old, 8)
                continue
            place = heap.reallocate(offset, old, size, 8) if kind == "r" else heap.allocate(size, 8)
            if place is None:
                raise MemoryError(f"{size} bytes for block {number}")
            live[number] = (place, size)
            most = max(most, payload)
        heap.check()
        return 100 * most / heap.footprint


RECORDED: Mapping[str, Mapping[str, int]] = {
    "first": {"amptjp": 99, "cccp": 99, "cp-decl": 99, "expr": 100, "random": 92, "random2": 92},
    "next": {"amptjp": 91, "cccp": 92, "cp-decl": 95, "expr": 97, "random": 91, "random2": 89},
}
"""The same for the traces that were recorded or drawn: those nobody can generate."""


def lines(*others: str) -> Iterator[Line]:
    """Compare each trace's utilisation; ``others`` are further parameters of `free-list`."""
    for fit, published in PUBLISHED.items():
        for name, percent in published.items():
            used = utilisation(trace(name), fit, *others)
            yield Line(
                f"utilisation by {fit} fit, {name}",
                f"{percent} %, ± 1",
                f"{used:.1f} %",
                Verdict.of(abs(used - percent) <= 1),
            )
    for fit, recorded in RECORDED.items():
        percents = ", ".join(f"{name} {percent}" for name, percent in recorded.items())
        yield Line(
            f"utilisation by {fit} fit, recorded and random traces",
            f"{percents} %, ± 1 (random ± 2)",
            "needs the lab's .rep files",
            Verdict.NEEDS_TRACES,
        )


MALLOC_LAB = Result(
    1,
    "Utilisation in the malloc lab",
    "Bryant, O'Hallaron 2015",
    "Bryant and O'Hallaron: Computer Systems: A Programmer's Perspective, 3rd ed. 2015, 9.9, and its malloc lab",
    exact=lines,
)
