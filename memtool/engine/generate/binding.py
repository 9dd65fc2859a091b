"""ctypes signatures of the generator and the image builder (engine/generate/capi.cpp)."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Generator
from typing import Any

from memtool.engine.loading import DONE, MESSAGE_BYTES, EngineError, Handle, declare, load_library

_u64 = ctypes.c_uint64
_u32 = ctypes.c_uint32
# A canonical event (engine/events/events.hpp).
EVENT_BYTES = 16
DEALLOCATE, ALLOCATE, ALLOCATE_ZEROED, REALLOCATE = range(4)
MARK = 7
EPILOGUE = 8
PACE, BEGIN = 14, 15
THREAD_SHIFT = 8
OBJECT_SHIFT = 24
SIZE_BITS = 58
DEFAULT_LOG2_ALIGNMENT = 4

HEADER_FIELDS = (
    "magic",
    "words",
    "epilogue_word",
    "begin_word",
    "warm_operations",
    "operations",
    "epilogue_operations",
    "allocations",
    "reallocations",
    "slots",
    "peak_live_bytes",
    "peak_live_word",
    "peak_live_objects",
    "total_bytes",
    "smallest_size",
    "largest_size",
    "largest_alignment",
    "scopes",
    "marks",
    "first_not_lifo",
    "first_not_fifo",
    "touch",
)
THREAD_HEADER_FIELDS = (
    "magic",
    "touch",
    "lanes",
    "lanes_offset",
    "chunks_offset",
    "runs_offset",
    "chunks",
    "runs",
    "body_runs",
    "cells",
    "operations",
    "epilogue_operations",
    "peak_operation",
    "warm_lanes",
)
TOUCHES = ("none", "first", "pages", "all")


class ImageHeader(ctypes.Structure):
    """The head of an event image (engine/events/events.hpp)."""

    _fields_ = [(name, _u64) for name in HEADER_FIELDS]


class ThreadImageHeader(ctypes.Structure):
    """The head of a thread image (engine/events/thread_image.hpp)."""

    _fields_ = [(name, _u64) for name in THREAD_HEADER_FIELDS]


class _MarkPlace(ctypes.Structure):
    _fields_ = [("operations", _u64), ("live_bytes", _u64), ("word", _u64)]


def _library() -> ctypes.CDLL:
    library = load_library()
    handle = ctypes.c_void_p
    text = ctypes.c_char_p
    signatures: dict[str, tuple[object, list[object]]] = {
        "memtool_generator_open": (handle, [ctypes.c_void_p, _u64, text]),
        "memtool_generator_next": (_u32, [handle, ctypes.c_void_p, ctypes.POINTER(_u64), text]),
        "memtool_generator_resizes_left_out": (_u64, [handle]),
        "memtool_generator_close": (None, [handle]),
        "memtool_image_begin": (handle, [_u32, ctypes.c_int, text]),
        "memtool_image_append": (_u32, [handle, ctypes.c_void_p, _u64, text]),
        "memtool_image_complete": (_u32, [handle, ctypes.POINTER(ImageHeader), text]),
        "memtool_image_marks": (_u64, [handle, ctypes.c_void_p, _u64]),
        "memtool_image_course": (None, [handle, ctypes.POINTER(ctypes.c_double), *[ctypes.POINTER(_u64)] * 2]),
        "memtool_image_close": (None, [handle]),
        "memtool_thread_image_begin": (handle, [_u32, ctypes.c_int, ctypes.c_int, text]),
        "memtool_thread_image_scan": (_u32, [handle, ctypes.c_void_p, _u64, text]),
        "memtool_thread_image_append": (_u32, [handle, ctypes.c_void_p, _u64, text]),
        "memtool_thread_image_complete": (_u32, [handle, ctypes.POINTER(ThreadImageHeader), text]),
        "memtool_thread_image_close": (None, [handle]),
    }
    declare(library, signatures)
    return library


def generate(program: array[int]) -> Generator[memoryview, None, int]:
    """Yield the canonical events of a workload program in portions of 16-byte records.

    Returns the number of resizes that were left out, because they were drawn for objects whose lives are too short. A
    portion is valid until the next one is requested. Raises EngineError.
    """
    library = _library()
    message = ctypes.create_string_buffer(MESSAGE_BYTES)
    address, count = program.buffer_info()
    handle = library.memtool_generator_open(address, count, message)
    if not handle:
        raise EngineError(message.value.decode())
    try:
        events = ctypes.c_void_p()
        events_made = _u64()
        while True:
            _check(
                library.memtool_generator_next(handle, ctypes.byref(events), ctypes.byref(events_made), message),
                message,
            )
            if events_made.value == 0:
                return int(library.memtool_generator_resizes_left_out(handle))
            assert events.value is not None
            portion = (ctypes.c_char * (events_made.value * EVENT_BYTES)).from_address(events.value)
            yield memoryview(portion).cast("B")
    finally:
        library.memtool_generator_close(handle)


def _check(status: int, message: ctypes.Array[ctypes.c_char]) -> None:
    if status != DONE:
        raise EngineError(message.value.decode())


class _Builder(Handle):
    """The common part of the builders of both kinds of image: a handle of the engine, and how events reach it."""

    _kind: str

    def __init__(self, touch: str, *descriptors: int) -> None:
        """Begin an image in an empty, seekable file, which must stay open as long as the builder exists.

        The replay will touch new blocks according to ``touch``: none, first, pages or all. An image for threads needs a
        second such file for data that does not fit into memory. Raises EngineError.
        """
        self._library = _library()
        self._message = ctypes.create_string_buffer(MESSAGE_BYTES)
        handle = self._function("begin")(TOUCHES.index(touch), *descriptors, self._message)
        super().__init__(self._library, f"memtool_{self._kind}_close", handle, self._message.value.decode())

    def append(self, events: memoryview) -> None:
        """Add events, in order. Raises EngineError for an impossible sequence."""
        self._feed("append", events)

    def _function(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self._library, f"memtool_{self._kind}_{name}")
        return function

    def _feed(self, name: str, events: memoryview) -> None:
        view = (ctypes.c_char * events.nbytes).from_buffer(events)
        address, count = ctypes.addressof(view), events.nbytes // EVENT_BYTES
        _check(self._function(name)(self._handle, address, count, self._message), self._message)

    def _complete(self, head: ctypes.Structure) -> dict[str, int]:
        _check(self._function("complete")(self._handle, ctypes.byref(head), self._message), self._message)
        return {name: int(getattr(head, name)) for name, *_ in head._fields_}


class ImageBuilder(_Builder):
    """Writes an event image from canonical events, as they arrive."""

    _kind = "image"

    def finish(self) -> dict[str, int]:
        """Complete the image and return its head. Raises EngineError."""
        return self._complete(ImageHeader())

    def course(self) -> tuple[float, int, int]:
        """Return, of live bytes, their sum over the operations, their peak before the first free, and after it."""
        live_sum, filled, refilled = ctypes.c_double(), _u64(), _u64()
        pointers = (ctypes.byref(output) for output in (live_sum, filled, refilled))
        self._library.memtool_image_course(self._handle, *pointers)
        return live_sum.value, filled.value, refilled.value

    def marks(self) -> list[tuple[int, int, int]]:
        """Return for each mark so far: operations before it, live bytes, index of its word in the image."""
        count = self._library.memtool_image_marks(self._handle, None, 0)
        places = (_MarkPlace * count)()
        self._library.memtool_image_marks(self._handle, places, count)
        return [(place.operations, place.live_bytes, place.word) for place in places]


class ThreadImageBuilder(_Builder):
    """Writes a thread image from canonical events, which it reads twice: ``scan`` all, then ``append`` all."""

    _kind = "thread_image"

    def scan(self, events: memoryview) -> None:
        """Read events, in order. Raises EngineError for an impossible sequence."""
        self._feed("scan", events)

    def finish(self) -> dict[str, int]:
        """Complete the image and return its head. Raises EngineError."""
        return self._complete(ThreadImageHeader())
