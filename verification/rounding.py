"""Rows 3 and 9: what size classes and powers of two cost, by brute force over every size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from memtool.engine.abi.binding import Heap
from verification.outcome import Line, Result, Verdict

MIB = 1 << 20
LARGEST = 32 * 1024
QUANTUM = 16
HEADER, SMALLEST_BLOCK, EXACT = 8, 32, 256
"""TLSF's header, its smallest block with it, and the size below which no number of lists rounds, bytes."""


def granted(heap: Heap, size: int) -> int:
    """Return what a heap grants for a request, bytes."""
    offset = heap.allocate(size)
    assert offset is not None
    usable = heap.usable_size(offset, size)
    heap.deallocate(offset, size)
    return usable


def buddy_lines(strategy: str = "buddy") -> Iterator[Line]:
    """Compare granted / asked for three distributions of sizes, each taken at every point instead of drawn."""
    uniform, one_and_a_half = range(1, (1 << 16) + 1), range(1, (3 << 14) + 1)
    steps, octaves = 500, range(8, 16)
    log_uniform = [int(2 ** (octave + (step + 0.5) / steps)) for octave in octaves for step in range(steps)]
    with Heap(strategy, capacity=64 * MIB) as heap:

        def compare(quantity: str, published: float, written: str, ours: float) -> Line:
            return Line(quantity, written, f"{ours:.4f}", Verdict.of(abs(ours / published - 1) <= 0.01))

        def bytes_ratio(sizes: Sequence[int]) -> float:
            return sum(granted(heap, size) for size in sizes) / sum(sizes)

        yield compare("granted / asked, sizes 1 to 65,536 alike", 4 / 3, "4/3, ± 1 %", bytes_ratio(uniform))
        yield compare("granted / asked, sizes 1 to 49,152 alike", 1.4815, "1.4815, ± 1 %", bytes_ratio(one_and_a_half))
        mean = sum(granted(heap, size) / size for size in log_uniform) / len(log_uniform)
        distribution = "log-uniform from 256 to 65,536"
        yield compare(f"mean of granted / asked, {distribution}", 1.4427, "1/ln 2 = 1.4427, ± 1 %", mean)
        yield compare(f"granted / asked, {distribution}", 1.3863, "2 ln 2 = 1.3863, ± 1 %", bytes_ratio(log_uniform))


def jemalloc_lines(parameters: str = "spacing=4") -> Iterator[Line]:
    """Compare the classes of the segregated pool, spaced as jemalloc's, and the worst share of a block they waste."""
    with Heap("segregated-pool", parameters, capacity=256 * MIB) as heap:
        grants = {n: granted(heap, n) for n in range(1, LARGEST + 1)}
    classes = sorted(set(grants.values()))
    first = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
    ours = classes[: len(first)]
    yield Line("jemalloc: the smallest classes", _listed(first), _listed(ours), Verdict.of(ours == first))
    worst = max(1 - n / usable for n, usable in grants.items() if n > 4 * QUANTUM)
    yield Line(
        f"jemalloc: most wasted of a block, every n from 65 to {LARGEST:,}",
        "<= 20 %",
        f"{worst:.2%}",
        Verdict.of(worst <= 0.20 and all(upper * 4 <= lower * 5 for lower, upper in pairwise(classes[3:]))),
    )


def _listed(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


def tlsf_lines(parameters: str = "subdivisions=32") -> Iterator[Line]:
    """Compare how much larger than the request the smallest free block must be that a search takes."""
    needed: dict[int, int] = {}
    request = SMALLEST_BLOCK
    for hole in range(SMALLEST_BLOCK, LARGEST + 1, QUANTUM):
        while request <= hole and _is_found(parameters, hole, request):
            needed[request] = hole
            request += QUANTUM
    worst = max(hole / request - 1 for request, hole in needed.items())
    yield Line(
        f"TLSF: most that a search is rounded up, every block up to {max(needed):,}",
        "<= 3.125 %",
        f"{worst:.3%}",
        Verdict.of(worst <= 1 / 32),
    )


def _is_found(parameters: str, hole: int, request: int) -> bool:
    """Return whether a request for a block is served from a hole, both in bytes with the header."""
    with Heap("tlsf", parameters, capacity=MIB) as heap:
        # One block would be rounded up itself, so the hole is made of several, which are merged when they are freed.
        pieces: list[tuple[int, int]] = []
        rest = hole
        while rest > 0:
            # Such small blocks are not rounded, so the last piece ends where the hole does.
            size = (rest if rest < EXACT else rest // 2 // QUANTUM * QUANTUM) - HEADER
            block = heap.allocate(size)
            assert block is not None
            pieces.append((block, size))
            rest -= heap.usable_size(block, size) + HEADER
        heap.allocate(QUANTUM)
        for block, size in pieces:
            heap.deallocate(block, size)
        return heap.allocate(request - HEADER) == pieces[0][0]


def _size_class_lines() -> Iterator[Line]:
    yield from jemalloc_lines()
    yield from tlsf_lines()


BUDDY = Result(
    3,
    "What a binary buddy system grants beyond the request",
    "Peterson, Norman 1977",
    "Peterson and Norman: Buddy systems, CACM 20(6), 1977; Russell: Internal fragmentation in a class of buddy systems,"
    " SIAM J. Computing 6(4), 1977",
    exact=buddy_lines,
)
SIZE_CLASSES = Result(
    9,
    "What size classes waste",
    "jemalloc(3); Masmano et al. 2004",
    "jemalloc(3), Implementation notes; Masmano, Ripoll, Crespo and Real: TLSF, a new dynamic memory allocator for "
    "real-time systems, ECRTS 2004",
    exact=_size_class_lines,
)
