"""Reports the type that a library brings (memtool.h), in a separate process, because the library is not trusted.

``python -I -S type_probe.py LIBRARY FD`` writes JSON to the descriptor FD: the type's name, size, alignment, whether it
has no destructor, and its fault ("": none). The library's own output is not part of the answer.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

_ABI = 1


class _Type(ctypes.Structure):
    """memtool_type."""

    _fields_ = [
        ("abi", ctypes.c_uint32),
        ("struct_bytes", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("size", ctypes.c_size_t),
        ("alignment", ctypes.c_size_t),
        ("construct", ctypes.c_void_p),
        ("destroy", ctypes.c_void_p),
        ("use", ctypes.c_void_p),
        ("reset", ctypes.c_void_p),
    ]


def described(path: str) -> list[object]:
    """Return the report on a library's type."""
    library = ctypes.CDLL(path)
    if not hasattr(library, "memtool_get_type"):
        return ["", 0, 0, False, "does not define memtool_get_type (memtool.h)"]
    library.memtool_get_type.restype = ctypes.POINTER(_Type)
    pointer = library.memtool_get_type()
    if not pointer:
        return ["", 0, 0, False, "its memtool_get_type() returns nothing"]
    held = pointer.contents
    return [os.fsdecode(held.name or b""), held.size, held.alignment, not held.destroy, _wrong_with(held)]


def _wrong_with(held: _Type) -> str:
    if held.abi != _ABI or held.struct_bytes < ctypes.sizeof(_Type):
        return f"it implements version {held.abi} of memtool_type, and this memtool version {_ABI}: compile it again"
    if not held.name:
        return "its memtool_type has no name"
    if not held.construct:
        return "its memtool_type lacks construct"
    if held.alignment == 0 or held.alignment & (held.alignment - 1):
        return f"its alignment must be a power of two, is {held.alignment}"
    if held.size == 0 or held.size % held.alignment:
        return f"its size must be a multiple of its alignment {held.alignment}, is {held.size}"
    return ""


if __name__ == "__main__":
    _library, _descriptor = sys.argv[1:]
    os.write(int(_descriptor), json.dumps(described(_library)).encode())
