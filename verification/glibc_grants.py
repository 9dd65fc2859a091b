"""What this process's malloc grants for every size below a limit: a program of its own.

``python -I -S glibc_grants.py PACKAGE_ROOT SIZES`` prints the library that serves malloc, then usable(0), usable(1) and
so on, a line each.

Any malloc may answer with a free chunk that is up to 16 bytes larger than the request needs: what would remain of it is
too small to be a chunk. So only fresh memory shows the formula, and it is known by its place: a block that begins where
the one before it ends was cut from the top of the heap. Blocks are kept, so that chunks which the start of the
interpreter left behind are used up, and a size is asked for again for as long as one of them answers.
"""

from __future__ import annotations

import sys

_HEADER = 8
"""Bytes between the end of what is usable of a chunk and the beginning of what is usable of the next."""
_MOST_TRIES = 10_000


def main() -> None:
    """Print the owner of malloc and what it grants. Exits with one line when the top of the heap never answers."""
    root, sizes = sys.argv[1], int(sys.argv[2])
    sys.path.insert(0, root)
    from memtool.engine import binding

    owner = binding.symbol_owner("malloc")
    grants = [0] * sizes
    with binding.Heap("malloc") as heap:
        end = None
        for size in range(sizes):
            for _ in range(_MOST_TRIES):
                block = heap.allocate(size)
                if block is None:
                    sys.exit(f"out of memory at {size} bytes")
                is_fresh = block == end
                usable = heap.usable_size(block, size)
                end = block + usable + _HEADER
                if is_fresh:
                    break
            else:
                sys.exit(f"no block of {size} bytes came from the top of the heap")
            grants[size] = usable
    print(owner[0] if owner else "", *grants, sep="\n")


if __name__ == "__main__":
    main()
