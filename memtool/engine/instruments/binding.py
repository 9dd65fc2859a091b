"""ctypes signatures of the instruments: counts of instructions and of system calls, a clock, the owner of malloc."""

from __future__ import annotations

import ctypes
import os

from memtool.engine.loading import NOT_APPLICABLE, declare, load_library

SYSTEM_CALLS = ("mmap", "munmap", "mremap", "madvise", "brk", "mprotect")
"""The system calls that are counted, in the engine's order."""
COUNTERS_OF = ("none", "perf", "callgrind")
"""The counters of instructions, in the order of the engine's numbers."""
_u64 = ctypes.c_uint64
_u32 = ctypes.c_uint32


def _library() -> ctypes.CDLL:
    library = load_library()
    text = ctypes.c_char_p
    signatures: dict[str, tuple[object, list[object]]] = {
        "memtool_counter_refusal": (text, [_u32]),
        "memtool_system_calls_refusal": (text, []),
        "memtool_ring_refusal": (text, []),
        "memtool_cached_bytes": (_u64, [ctypes.c_int]),
        "memtool_count_system_calls": (_u32, [ctypes.c_int, ctypes.POINTER(_u32), ctypes.POINTER(_u64)]),
        "memtool_calibrate_counter": (_u64, [_u32]),
        "memtool_symbol_owner": (_u32, [text, text, _u64, text, _u64]),
    }
    declare(library, signatures)
    return library


def counter_refusal(counter: str) -> str | None:
    """Return why instructions cannot be counted by ``perf`` or ``callgrind`` here; None: the engine can."""
    return _text(_library().memtool_counter_refusal(COUNTERS_OF.index(counter)))


def system_calls_refusal() -> str | None:
    """Return why the kernel does not permit counting system calls; None: it does."""
    return _text(_library().memtool_system_calls_refusal())


def ring_refusal() -> str | None:
    """Return why the kernel does not permit io_uring in this process; None: it does."""
    return _text(_library().memtool_ring_refusal())


def _text(words: bytes | None) -> str | None:
    return None if words is None else words.decode()


def cached_bytes(descriptor: int) -> int | None:
    """Return how many bytes of a regular file are in the page cache; None: that cannot be determined."""
    counted = int(_library().memtool_cached_bytes(descriptor))
    return None if counted == NOT_APPLICABLE else counted


def count_system_calls(listener: int, ended: ctypes.c_uint32) -> dict[str, int]:
    """Count a worker's calls, and let each continue, until it is gone or ``ended`` is set. Raises OSError."""
    counts = (_u64 * len(SYSTEM_CALLS))()
    problem = _library().memtool_count_system_calls(listener, ctypes.byref(ended), counts)
    if problem:
        raise OSError(problem, os.strerror(problem))
    return dict(zip(SYSTEM_CALLS, counts, strict=True))


def calibrate_counter(milliseconds: int) -> float:
    """Return the length of a tick of the processor's counter in nanoseconds, measured over ``milliseconds``."""
    return float(_library().memtool_calibrate_counter(milliseconds)) / 2**32


def symbol_owner(symbol: str) -> tuple[str, str] | None:
    """Return (path, build id) of the library that defines ``symbol`` in this process; None if none does."""
    path = ctypes.create_string_buffer(4096)
    build_id = ctypes.create_string_buffer(128)
    if _library().memtool_symbol_owner(symbol.encode(), path, len(path), build_id, len(build_id)) != 0:
        return None
    return os.fsdecode(path.value), build_id.value.decode()
