"""ctypes signatures of the generator and the image builder (engine/generator_capi.cpp)."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterator

from memtool.engine.binding import DONE, EngineError, load_library

_u64 = ctypes.c_uint64
_u32 = ctypes.c_uint32
_MESSAGE_BYTES = 400
EVENT_BYTES = 16

HEADER_FIELDS = (
    "magic",
    "words",
    "epilogue_word",
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
    "first_not_lifo",
    "touch",
)
TOUCHES = ("none", "first", "pages", "all")


class ImageHeader(ctypes.Structure):
    """The head of an event image (engine/events.hpp)."""

    _fields_ = [(name, _u64) for name in HEADER_FIELDS]


def _library() -> ctypes.CDLL:
    library = load_library()
    handle = ctypes.c_void_p
    text = ctypes.c_char_p
    signatures: dict[str, tuple[object, list[object]]] = {
        "memtool_generator_open": (handle, [ctypes.c_void_p, _u64, text]),
        "memtool_generator_next": (_u32, [handle, ctypes.c_void_p, ctypes.POINTER(_u64), text]),
        "memtool_generator_close": (None, [handle]),
        "memtool_image_open": (handle, [_u32]),
        "memtool_image_append": (_u32, [handle, ctypes.c_void_p, _u64, text]),
        "memtool_image_finish": (_u32, [handle, ctypes.c_int, ctypes.POINTER(ImageHeader), text]),
        "memtool_image_close": (None, [handle]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def generate(program: array[int]) -> Iterator[memoryview]:
    """Yield the canonical events of a workload program in portions of 16-byte records.

    A portion is valid until the next one is asked for. Raises EngineError.
    """
    library = _library()
    message = ctypes.create_string_buffer(_MESSAGE_BYTES)
    address, count = program.buffer_info()
    handle = library.memtool_generator_open(address, count, message)
    if not handle:
        raise EngineError(message.value.decode())
    try:
        events = ctypes.c_void_p()
        found = _u64()
        while True:
            status = library.memtool_generator_next(handle, ctypes.byref(events), ctypes.byref(found), message)
            if status != DONE:
                raise EngineError(message.value.decode())
            if found.value == 0:
                return
            assert events.value is not None
            yield memoryview((ctypes.c_char * (found.value * EVENT_BYTES)).from_address(events.value)).cast("B")
    finally:
        library.memtool_generator_close(handle)


class ImageBuilder:
    """Builds an event image from canonical events."""

    def __init__(self, touch: str) -> None:
        """Begin an image whose replay touches fresh blocks as ``touch`` says: none, first, pages or all."""
        self._library = _library()
        self._handle: int | None = self._library.memtool_image_open(TOUCHES.index(touch))
        self._message = ctypes.create_string_buffer(_MESSAGE_BYTES)

    def __enter__(self) -> ImageBuilder:
        return self

    def __exit__(self, *_: object) -> None:
        self._library.memtool_image_close(self._handle)
        self._handle = None

    def append(self, events: memoryview) -> None:
        """Add events; they must come in order. Raises EngineError for a stream that cannot be."""
        view = (ctypes.c_char * events.nbytes).from_buffer(events)
        count = events.nbytes // EVENT_BYTES
        if self._library.memtool_image_append(self._handle, ctypes.addressof(view), count, self._message) != DONE:
            raise EngineError(self._message.value.decode())

    def finish(self, descriptor: int) -> dict[str, int]:
        """Write the image to a descriptor and return its head. Raises EngineError."""
        head = ImageHeader()
        if self._library.memtool_image_finish(self._handle, descriptor, ctypes.byref(head), self._message) != DONE:
            raise EngineError(self._message.value.decode())
        return {name: int(getattr(head, name)) for name in HEADER_FIELDS}
