"""Event images written by hand, for tests of the engine and the worker: independent of the image builder."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

MAGIC = 0x34474D494D544D4D
DEALLOCATE, ALLOCATE = 0, 1
NEVER = 2**64 - 1
Operation = tuple[str, int, int]
"""("allocate" | "deallocate", slot, size)."""


def make_image(operations: Sequence[Operation], *, touch: int = 0) -> bytes:
    """Return the image of these operations; everything still alive must be freed by them, there is no epilogue."""
    words = []
    live = peak = peak_word = objects = most = total = allocations = 0
    for kind, slot, size in operations:
        words.append((ALLOCATE if kind == "allocate" else DEALLOCATE) | slot << 4 | size << 32)
        sign = 1 if kind == "allocate" else -1
        allocations += kind == "allocate"
        live += sign * size
        objects += sign
        total += size if sign > 0 else 0
        most = max(most, objects)
        if live > peak:
            peak, peak_word = live, len(words)
    sizes = [size for _, _, size in operations] or [0]
    slots = max((slot for _, slot, _ in operations), default=0) + 1
    header = struct.pack(
        "<22Q",
        MAGIC,
        len(words),
        len(words),
        0,
        0,
        len(words),
        0,
        allocations,
        0,
        slots,
        peak,
        peak_word,
        most,
        total,
        min(sizes),
        max(sizes),
        16,
        0,
        0,
        NEVER,
        NEVER,
        touch,
    )
    return header + struct.pack(f"<{len(words)}Q", *words)


def image_fd(image: bytes) -> int:
    """Return a descriptor of a memory file that holds the image; the caller closes it."""
    descriptor = os.memfd_create("image")
    os.write(descriptor, image)
    return descriptor


def churn(objects: int, size: int = 64) -> list[Operation]:
    """Return: allocate all, free every second, allocate those again, free all."""
    every = [("allocate", slot, size) for slot in range(objects)]
    freed = [("deallocate", slot, size) for slot in range(0, objects, 2)]
    again = [("allocate", slot, size) for slot in range(0, objects, 2)]
    return [*every, *freed, *again, *(("deallocate", slot, size) for slot in range(objects))]
