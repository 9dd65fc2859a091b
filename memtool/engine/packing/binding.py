"""ctypes signatures of the offline packer (engine/packing/capi.cpp)."""

from __future__ import annotations

import ctypes
import mmap
from array import array
from collections.abc import Sequence

from memtool.engine.loading import DONE, EngineError, declare, load_library

_u64 = ctypes.c_uint64
_u32 = ctypes.c_uint32
_TOO_MANY = 1
DEFAULT_WORK = 3_000_000_000
"""Steps of about a nanosecond each; they are counted, not timed, so that results are the same everywhere."""
MOST_BLOCKS = 1 << 21
"""A trace with more blocks is not packed: it would take half a minute and more than 250 MiB."""


class _Result(ctypes.Structure):
    _fields_ = [("intervals", _u64), ("load", _u64), ("footprint", _u64)]


def _library() -> ctypes.CDLL:
    library = load_library()
    pointer = ctypes.c_void_p
    signatures: dict[str, tuple[object, list[object]]] = {
        "memtool_pack": (_u32, [pointer, pointer, pointer, pointer, _u64, _u64, pointer, ctypes.POINTER(_Result)]),
        "memtool_pack_image": (_u32, [pointer, _u64, _u64, ctypes.POINTER(_Result)]),
    }
    declare(library, signatures)
    return library


def pack(
    lower: Sequence[int],
    upper: Sequence[int],
    size: Sequence[int],
    work: int = DEFAULT_WORK,
    alignment: Sequence[int] | None = None,
) -> tuple[int, int, list[int]]:
    """Return (load, footprint, offset of each block) of the best packing found.

    Block ``i`` has ``size[i]`` bytes and is live in ``[lower[i], upper[i])``, in any unit of time. Its offset is a
    multiple of ``alignment[i]``, a power of two; 1 by default. Raises EngineError when memory is exhausted.
    """
    columns = [array("Q", column) for column in (lower, upper, size, alignment or [1] * len(size))]
    offsets = array("Q", bytes(8 * len(size)))
    result = _Result()
    addresses = [column.buffer_info()[0] for column in (*columns, offsets)]
    status = _library().memtool_pack(*addresses[:4], len(size), work, addresses[4], ctypes.byref(result))
    if status != DONE:
        raise EngineError(f"no memory to pack {len(size):,} blocks")
    return result.load, result.footprint, offsets.tolist()


def pack_image(descriptor: int, image_bytes: int, work: int = DEFAULT_WORK, most: int = MOST_BLOCKS) -> int | None:
    """Return the footprint in bytes of the best packing found of an event image; None where it has too many blocks.

    Raises EngineError when memory is exhausted.
    """
    with mmap.mmap(descriptor, image_bytes, mmap.MAP_PRIVATE) as image:
        view = (ctypes.c_char * image_bytes).from_buffer(image)
        result = _Result()
        status = _library().memtool_pack_image(ctypes.addressof(view), most, work, ctypes.byref(result))
        del view
    if status == _TOO_MANY:
        return None
    if status != DONE:
        raise EngineError("no memory to pack the blocks of a trace")
    return int(result.footprint)
