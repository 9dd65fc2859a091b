"""ctypes signatures of the functions that make a graph program (program/capi.cpp)."""

from __future__ import annotations

import ctypes
from array import array

from memtool.engine.loading import MESSAGE_BYTES, EngineError, declare, load_library


def make(words: array[int]) -> bytes:
    """Return the image of a program: its head, and its operations, which include the frees.

    Raises EngineError with one line for an impossible program.
    """
    address, count = words.buffer_info()
    return _image("memtool_graph_make", address, count)


def make_of_events(image: memoryview, frees: int) -> bytes:
    """Return the image of a program made from an event image: each object has a root, and a free drops its root."""
    return _image("memtool_graph_of_events", ctypes.addressof(ctypes.c_char.from_buffer(image)), frees)


def _image(function: str, address: int, number: int) -> bytes:
    library = load_library()
    pointer, u64 = ctypes.c_void_p, ctypes.c_uint64
    declare(
        library,
        {
            function: (pointer, [pointer, u64, ctypes.c_char_p]),
            "memtool_graph_words": (pointer, [pointer, ctypes.POINTER(u64)]),
            "memtool_graph_forget": (None, [pointer]),
        },
    )
    message = ctypes.create_string_buffer(MESSAGE_BYTES)
    program = getattr(library, function)(address, number, message)
    if not program:
        raise EngineError(message.value.decode(errors="replace"))
    try:
        length = u64()
        first = library.memtool_graph_words(program, ctypes.byref(length))
        return ctypes.string_at(first, length.value * 8)
    finally:
        library.memtool_graph_forget(program)
