"""ctypes bindings of the C ABI for the user's allocators (include/memtool.h), to load one or to make one.

A worker imports this only if it measures such an allocator.
"""

from __future__ import annotations

import ctypes
import json
import os
from typing import Any

from memtool.engine.loading import DONE, WRONG, EngineError, declare, load_library

ABI = 1
STRATEGY = "adopted"
"""The engine's name for the adopted allocator."""
MESSAGE_BYTES = 400
FREE_ORDERS = ("any", "lifo", "reset", "fifo")
STATES = ("used", "free", "metadata")

_void = ctypes.c_void_p
_size = ctypes.c_size_t
_u64 = ctypes.c_uint64
_u32 = ctypes.c_uint32
_text = ctypes.c_char_p


class Region(ctypes.Structure):
    """memtool_region."""


GROW = ctypes.CFUNCTYPE(_void, ctypes.POINTER(Region), _size)
SHRINK = ctypes.CFUNCTYPE(None, ctypes.POINTER(Region), _size)
Region._fields_ = [("base", _void), ("capacity", _size), ("grow", GROW), ("shrink", SHRINK)]


class Parameter(ctypes.Structure):
    """memtool_parameter."""

    _fields_ = [
        ("name", _text),
        ("summary", _text),
        ("default_value", _u64),
        ("minimum", _u64),
        ("maximum", _u64),
        ("unit", _text),
        ("choices", _text),
    ]


class Stats(ctypes.Structure):
    """memtool_stats."""

    _fields_ = [
        (name, _u64)
        for name in (
            "granted",
            "free_bytes",
            "largest_free",
            "free_blocks",
            "used_blocks",
            "metadata_bytes",
            "metadata_apart_bytes",
        )
    ]


VISIT = ctypes.CFUNCTYPE(None, _void, _u64, _u32, _void)
# Messages are written into these buffers, so they are plain pointers.
FUNCTIONS: dict[str, Any] = {
    "create": ctypes.CFUNCTYPE(_void, ctypes.POINTER(Region), ctypes.POINTER(_u64), _void),
    "destroy": ctypes.CFUNCTYPE(None, _void),
    "allocate": ctypes.CFUNCTYPE(_void, _void, _size, _size),
    "deallocate": ctypes.CFUNCTYPE(None, _void, _void, _size, _size),
    "allocate_zeroed": ctypes.CFUNCTYPE(_void, _void, _size, _size),
    "reallocate": ctypes.CFUNCTYPE(_void, _void, _void, _size, _size, _size),
    "mark": ctypes.CFUNCTYPE(_u64, _void),
    "release": ctypes.CFUNCTYPE(None, _void, _u64),
    "usable_size": ctypes.CFUNCTYPE(_size, _void, _void, _size),
    "stats": ctypes.CFUNCTYPE(None, _void, ctypes.POINTER(Stats)),
    "walk": ctypes.CFUNCTYPE(None, _void, VISIT, _void),
    "check": ctypes.CFUNCTYPE(ctypes.c_int, _void, _void),
    "limits": ctypes.CFUNCTYPE(None, ctypes.POINTER(_u64), ctypes.POINTER(_u64), ctypes.POINTER(_u64)),
}


class Allocator(ctypes.Structure):
    """memtool_allocator."""

    _fields_ = [
        ("abi", _u32),
        ("struct_bytes", _u32),
        *((name, _text) for name in ("name", "summary", "source", "complexity", "when")),
        ("free_order", _u32),
        ("flags", _u32),
        ("parameters", ctypes.POINTER(Parameter)),
        ("parameter_count", _u64),
        *FUNCTIONS.items(),
    ]


class NoAllocatorError(EngineError):
    """A library does not export the interface of memtool.h."""


_adopted: list[Allocator] = []
"""Keeps objects that the engine calls from being collected."""


def _library() -> ctypes.CDLL:
    library = load_library()
    signatures: dict[str, tuple[object, list[object]]] = {
        "memtool_adopt_library": (_u32, [_text, _text]),
        "memtool_adopt_table": (_u32, [_void, _text]),
        "memtool_adopted_name": (_text, []),
        "memtool_describe_adopted": (_text, []),
    }
    declare(library, signatures)
    return library


def adopt_library(path: str) -> None:
    """Load a library and make its allocator the engine's strategy STRATEGY.

    Raises:
        NoAllocatorError: it does not define memtool_get_allocator.
        EngineError: it cannot be loaded, or its description is not usable; one line.
    """
    message = ctypes.create_string_buffer(MESSAGE_BYTES)
    status = _library().memtool_adopt_library(os.fsencode(path), message)
    if status != DONE:
        kind = NoAllocatorError if status == WRONG else EngineError
        raise kind(message.value.decode(errors="replace"))


def adopt_table(table: Allocator) -> None:
    """Make an allocator of this process the engine's strategy STRATEGY. Raises EngineError with one line."""
    message = ctypes.create_string_buffer(MESSAGE_BYTES)
    if _library().memtool_adopt_table(ctypes.addressof(table), message) != DONE:
        raise EngineError(message.value.decode(errors="replace"))
    _adopted[:] = [table]


def describe_adopted() -> dict[str, Any]:
    """Return the adopted allocator in the form of describe(), under the name that it gives itself."""
    library = _library()
    described: dict[str, Any] = json.loads(library.memtool_describe_adopted().decode(errors="replace"))
    return described | {"name": library.memtool_adopted_name().decode(errors="replace")}
