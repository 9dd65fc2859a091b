"""Row 2: the program against which every allocator needs the same, much larger memory.

The adversary looks at the addresses it is given. In round i it keeps only blocks that cover a word whose address is f
modulo 2^i, and so leaves no hole of 2^i words anywhere among them; whatever it frees, it asks for again in blocks of
2^i words, none of which fits below. The remainder f is carried on from the round before, or moved by half the new
modulus, whichever keeps more words from being used: each block kept is worth 2^i words less its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from memtool.engine.abi.binding import Heap
from verification.outcome import Line, Result, Verdict

WORD = 8
MIB = 1 << 20
FITS = ("first", "best", "next", "worst")
CASES = ((4096, 16), (4096, 64), (4096, 256), (16_384, 256))
"""(M, n): words that may be live, words of the largest block."""


class Allocator(Protocol):
    """What the adversary plays against; sizes, alignments and offsets in bytes."""

    @property
    def footprint(self) -> int:
        """Return the bytes taken so far."""

    def allocate(self, size: int, alignment: int) -> int | None:
        """Return the offset of a new block; None when memory is out."""

    def deallocate(self, offset: int, size: int, alignment: int) -> None:
        """Free a block."""


def bound(live: int, largest: int) -> int:
    """Return M (1 + log2(n) / 2) - n + 1, what any allocator needs in words; the largest block is a power of two."""
    return live + live * (largest.bit_length() - 1) // 2 - largest + 1


def attack(heap: Allocator, live: int, largest: int, word: int = WORD, header: int = 0) -> None:
    """Play against an allocator with at most ``live`` words, in blocks of 1, 2, 4, ... ``largest`` words.

    A block is ``header`` bytes larger than what is asked for. Addresses count from the first block's.
    """
    origin = None

    def allocate(words: int) -> tuple[int, int]:
        nonlocal origin
        offset = heap.allocate(words * word - header, WORD)
        assert offset is not None
        origin = offset if origin is None else origin
        assert (offset - origin) % word == 0
        return (offset - origin) // word, words

    def deallocate(block: tuple[int, int]) -> None:
        assert origin is not None
        heap.deallocate(origin + block[0] * word, block[1] * word - header, WORD)

    blocks = [allocate(1) for _ in range(live)]
    kept, size = 0, 1
    while size < largest:
        half, size = size, size * 2
        kept = max((kept, kept + half), key=lambda address: _withheld(blocks, address, size))
        for block in blocks:
            if not _covers(block, kept, size):
                deallocate(block)
        blocks = [block for block in blocks if _covers(block, kept, size)]
        room = live - sum(words for _, words in blocks)
        blocks += [allocate(size) for _ in range(room // size)]


def _covers(block: tuple[int, int], address: int, modulus: int) -> bool:
    offset, words = block
    return (address - offset) % modulus < words


def _withheld(blocks: list[tuple[int, int]], address: int, modulus: int) -> int:
    """Return the words beside the blocks' own that are useless for blocks of ``modulus`` words if those are kept."""
    return sum(modulus - block[1] for block in blocks if _covers(block, address, modulus))


def without_headers(fit: str) -> Heap:
    """Open a free list whose blocks are nothing but their words, and which takes no more than it needs."""
    layout = f"structure=apart,header=0,footer=0,alignment={WORD},grow={WORD}"
    return Heap("free-list", f"fit={fit},{layout}", capacity=64 * MIB)


def lines(
    open_heap: Callable[[str], Heap] = without_headers, cases: Sequence[tuple[int, int]] = CASES
) -> Iterator[Line]:
    """Compare the words that each fit takes."""
    for live, largest in cases:
        needed = []
        for fit in FITS:
            with open_heap(fit) as heap:
                attack(heap, live, largest)
                needed.append(heap.footprint / WORD)
        published = bound(live, largest)
        ours = f"{needed[0]:,.0f}" if len(set(needed)) == 1 else " ".join(f"{words:,.1f}" for words in needed)
        yield Line(
            f"words taken by {', '.join(FITS)} fit, M = {live:,}, n = {largest}",
            f"{published:,}",
            ours,
            Verdict.of(needed == [published] * len(FITS)),
        )


ROBSON = Result(
    2,
    "Robson's adversary",
    "Robson 1974",
    "Robson: Bounds for some functions concerning dynamic storage allocation, JACM 21(3), 1974: M (1 + log2(n) / 2) - "
    "n + 1 words, also An estimate of the store size necessary for dynamic storage allocation, JACM 18(3), 1971",
    exact=lines,
)
