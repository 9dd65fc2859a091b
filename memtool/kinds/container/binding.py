"""ctypes signatures of the functions that draw and survey a script (draw.cpp, survey.cpp)."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Mapping

from memtool.engine.loading import declare, load_library

SURVEYED = (
    "allocations",
    "asked_bytes",
    "peak_live_bytes",
    "peak_blocks",
    "smallest_size",
    "largest_size",
    "largest_alignment",
    "elements",
    "checksum",
    "is_lifo",
    "is_fifo",
)


class _Survey(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in SURVEYED]


def draw(program: array[int], image: memoryview, offset: int) -> None:
    """Write the operations of a program into an image; ``offset`` bytes precede them."""
    library = load_library()
    declare(library, {"memtool_container_draw": (None, [ctypes.c_void_p, ctypes.c_void_p])})
    words, _ = program.buffer_info()
    library.memtool_container_draw(words, ctypes.addressof(ctypes.c_char.from_buffer(image)) + offset)


def survey(image: memoryview) -> Mapping[str, int] | None:
    """Return what the script of an image requests; None where the engine has no container of its type."""
    library = load_library()
    declare(library, {"memtool_container_survey": (ctypes.c_uint32, [ctypes.c_void_p, ctypes.c_void_p])})
    counts = _Survey()
    if not library.memtool_container_survey(ctypes.addressof(ctypes.c_char.from_buffer(image)), ctypes.byref(counts)):
        return None
    return {name: int(getattr(counts, name)) for name in SURVEYED}
