"""What this process's malloc grants for every size below a limit: a program of its own.

``python -I -S glibc_grants.py PACKAGE_ROOT SIZES`` prints the library that serves malloc, then usable(0), usable(1) and
so on, a line each.

A free chunk that is 16 bytes larger than the request needs is handed out whole: what would remain of it is too small
to be a chunk. So only what is cut from the top of the heap shows the formula. Everything that is allocated here is
kept, and the free chunks that the start of the interpreter left behind are used up first. Should the interpreter free
another one meanwhile, its last piece gives itself away: it ends at a chunk in use, and so the next block cannot begin
there. A size counts where the next one's block begins at its own block's end; the others are asked for again.
"""

from __future__ import annotations

import itertools
import sys

# Type checkers take the name for true; the engine's bindings are found through an argument.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from memtool.engine.abi.binding import Heap

_HEADER, _SMALLEST = 8, 24
"""Bytes between the end of what is usable of a chunk and what is usable of the next; the smallest grant."""
_LARGE = 1 << 16
_LONGEST_CHUNK = 4 << 20
"""More than the start of an interpreter frees in one piece."""
_MOST_SWEEPS = 100


def main() -> None:
    """Print the owner of malloc and what it grants. Exits with one line when the top of the heap never answers."""
    root, sizes = sys.argv[1], int(sys.argv[2])
    sys.path.insert(0, root)
    from memtool.engine.abi import binding
    from memtool.engine.instruments.binding import symbol_owner

    owner = symbol_owner("malloc")
    with binding.Heap("malloc") as heap:
        _use_up(heap)
        grants = _sweep(heap, sizes)
    print(owner[0] if owner else "", *grants, sep="\n")


def _allocate(heap: Heap, size: int) -> tuple[int, int]:
    """Return where a new block begins and what is usable of it."""
    block = heap.allocate(size)
    if block is None:
        sys.exit(f"out of memory at {size} bytes")
    return block, heap.usable_size(block, size)


def _use_up(heap: Heap) -> None:
    """Allocate until all free chunks are used: smallest blocks one behind the other, for longer than a chunk can be."""
    _allocate(heap, _LARGE)  # merges the chunks in fast bins, which would otherwise become larger ones later
    end = run = 0
    while run < _LONGEST_CHUNK:
        block, usable = _allocate(heap, _SMALLEST)
        run = run + usable + _HEADER if block == end else 0
        end = block + usable + _HEADER


def _sweep(heap: Heap, sizes: int) -> list[int]:
    """Return usable(0), usable(1), ... usable(sizes - 1)."""
    grants = [0] * sizes
    pending = list(range(sizes))
    for _ in range(_MOST_SWEEPS):
        blocks = [(size, *_allocate(heap, size)) for size in (*pending, pending[-1])]
        pending = []
        for (size, block, usable), (_, following, _) in itertools.pairwise(blocks):
            if following == block + usable + _HEADER:
                grants[size] = usable
            else:
                pending.append(size)
        if not pending:
            return grants
    sys.exit(f"no block of {pending[0]} bytes came from the top of the heap")


if __name__ == "__main__":
    main()
