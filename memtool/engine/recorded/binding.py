"""ctypes signatures of recordings and of the matcher of addresses (engine/recorded/capi.cpp)."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memtool.engine.loading import DONE, MESSAGE_BYTES, EngineError, Handle, declare, load_library

_u64 = ctypes.c_uint64
_u32 = ctypes.c_uint32
SEEN_BYTES = 48
"""Bytes of an AddressEvent (engine/recorded/address_events.hpp)."""
KIND_AT = 44
"""Offset of its kind."""
FORK = 11
"""The kind of a fork."""
_CUT = 2
"""The end of a stack that cannot be unwound further (enum memtool_stack_end)."""
NEVER = 2**64 - 1
"""A limit in ticks that is never reached; and `not counted` in the column of resident bytes."""
COUNTS = (
    "allocations",
    "frees",
    "reallocations",
    "freed_by_other_thread",
    "unmatched_frees",
    "unmatched_reallocations",
    "implicit_frees",
    "refused",
    "reordered",
    "oversized",
    "threads",
    "live_objects",
    "live_bytes",
    "peak_live_bytes",
    "peak_live_objects",
    "total_bytes",
    "mapped_bytes",
    "peak_mapped_bytes",
)
"""Fields of MatchCounts (engine/recorded/matcher.hpp), which says what they mean."""
_NO_MEMORY = "no memory to match addresses"


class _Counts(ctypes.Structure):
    _fields_ = [(name, _u64) for name in COUNTS]


class _Columns(ctypes.Structure):
    _fields_ = [
        ("count", _u64),
        ("events", ctypes.c_void_p),
        ("ticks", ctypes.c_void_p),
        ("callers", ctypes.c_void_p),
        ("resident", ctypes.c_void_p),
    ]


class RecordingHead(ctypes.Structure):
    """The head of a recording (recorder/format.h)."""

    _fields_ = [
        ("magic", _u64),
        ("process", _u32),
        ("parent", _u32),
        ("clock", _u32),
        ("word_bytes", _u32),
        ("start_ticks", _u64),
        ("start_nanoseconds", _u64),
        ("start_realtime", _u64),
        ("end", _u64),
        ("missed", _u64),
        ("lost", _u64),
        ("stopped", _u32),
        ("is_over", _u32),
        ("chunks", _u32),
        ("ticks_per_event", _u32),
        ("peak_resident", _u64),
        ("forked_at", _u64),
        ("depth", _u32),
        ("least_room", _u32),
        ("program", ctypes.c_char * 256),
        ("arguments", ctypes.c_ubyte * 1024),
        ("remembers_stacks", _u32),
        ("ticks_beside_threads", _u32),
    ]


class LogSummary(ctypes.Structure):
    """The report on reading a log (engine/recorded/log_reader.hpp)."""

    _fields_ = [
        ("lines", _u64),
        ("dropped", _u64),
        ("first_damage", _u64),
        ("threads", _u64),
        ("refused", _u64),
        ("frees_of_null", _u64),
        ("crowded", _u64),
        ("is_interpreted", _u64),
        ("misaligned", _u64),
    ]


@dataclass(frozen=True, slots=True)
class Stack:
    """A call stack; events refer to it by its number."""

    number: int
    frames: tuple[int, ...]
    """Return addresses, the innermost first."""
    is_cut: bool
    """Whether it continues in code that cannot be unwound."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Canonical events of 16 bytes, and columns of 8 bytes an event; valid until the next portion is made."""

    events: memoryview
    ticks: memoryview
    callers: memoryview
    resident: memoryview
    """Bytes of the freed block in resident pages; NEVER where they were not counted."""


def _library() -> ctypes.CDLL:
    library = load_library()
    handle, text = ctypes.c_void_p, ctypes.c_char_p
    signatures: dict[str, tuple[object, list[object]]] = {
        "memtool_matcher_open": (handle, []),
        "memtool_matcher_append": (_u32, [handle, ctypes.c_void_p, _u64, ctypes.POINTER(_Columns)]),
        "memtool_matcher_live": (
            _u32,
            [handle, _u64, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(_u64)],
        ),
        "memtool_matcher_counts": (None, [handle, ctypes.POINTER(_Counts)]),
        "memtool_matcher_close": (None, [handle]),
        "memtool_log_reader_open": (handle, [text]),
        "memtool_log_reader_append": (
            _u32,
            [handle, ctypes.c_char_p, _u64, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(_u64)],
        ),
        "memtool_log_reader_summary": (None, [handle, ctypes.POINTER(LogSummary)]),
        "memtool_log_reader_calls": (text, [handle]),
        "memtool_log_reader_close": (None, [handle]),
        "memtool_recording_open": (handle, [ctypes.c_int, text, text]),
        "memtool_recording_read": (
            _u32,
            [handle, _u64, _u64, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(_u64), text],
        ),
        "memtool_recording_stacks": (_u64, [handle, ctypes.POINTER(ctypes.c_void_p)]),
        "memtool_recording_head": (ctypes.POINTER(RecordingHead), [handle]),
        "memtool_recording_damaged": (_u64, [handle]),
        "memtool_recording_close": (None, [handle]),
    }
    declare(library, signatures)
    return library


def _view(address: int | None, nbytes: int) -> memoryview:
    if not nbytes:
        return memoryview(b"")
    assert address is not None
    return memoryview((ctypes.c_char * nbytes).from_address(address)).cast("B")


class Matcher(Handle):
    """Makes canonical events from observed addresses, in portions; memory for the live objects only."""

    def __init__(self) -> None:
        """Begin without live objects. Raises EngineError when memory is exhausted."""
        library = _library()
        super().__init__(library, "memtool_matcher_close", library.memtool_matcher_open(), _NO_MEMORY)

    def append(self, seen: memoryview) -> Portion:
        """Return the canonical events of AddressEvents, which are in order in a writable buffer. Raises EngineError."""
        columns = _Columns()
        count = seen.nbytes // SEEN_BYTES
        view = (ctypes.c_char * seen.nbytes).from_buffer(seen) if count else None
        address = None if view is None else ctypes.addressof(view)
        if self._library.memtool_matcher_append(self._handle, address, count, ctypes.byref(columns)) != DONE:
            raise EngineError(_NO_MEMORY)
        events = int(columns.count)
        return Portion(
            _view(columns.events, 16 * events),
            _view(columns.ticks, 8 * events),
            _view(columns.callers, 8 * events),
            _view(columns.resident, 8 * events),
        )

    def live(self, ticks: int) -> bytearray:
        """Return the live objects as AddressEvents: allocations, in the order of birth. Raises EngineError."""
        seen, count = ctypes.c_void_p(), _u64()
        if self._library.memtool_matcher_live(self._handle, ticks, ctypes.byref(seen), ctypes.byref(count)) != DONE:
            raise EngineError(_NO_MEMORY)
        return bytearray(_view(seen.value, SEEN_BYTES * count.value))

    def counts(self) -> dict[str, int]:
        """Return what was kept, repaired and dropped so far."""
        counts = _Counts()
        self._library.memtool_matcher_counts(self._handle, ctypes.byref(counts))
        return {name: int(getattr(counts, name)) for name in COUNTS}


class LogReader(Handle):
    """Reads textual recordings for which Python would be too slow."""

    def __init__(self, name: str) -> None:
        """``name`` is that of the importer. Raises EngineError when memory is exhausted."""
        library = _library()
        handle = library.memtool_log_reader_open(name.encode())
        super().__init__(library, "memtool_log_reader_close", handle, f"no memory to read {name}")

    def append(self, text: bytes) -> memoryview:
        """Return the AddressEvents in the next portion; an empty portion ends the text. Valid until the next call."""
        seen, count = ctypes.c_void_p(), _u64()
        pointers = ctypes.byref(seen), ctypes.byref(count)
        if self._library.memtool_log_reader_append(self._handle, text, len(text), *pointers) != DONE:
            raise EngineError("no memory to read the text")
        return _view(seen.value, SEEN_BYTES * count.value)

    def summary(self) -> LogSummary:
        """Return the report on the text so far."""
        summary = LogSummary()
        self._library.memtool_log_reader_summary(self._handle, ctypes.byref(summary))
        return summary

    def calls(self) -> dict[str, int]:
        """Return the number of calls so far, by their names in the text. Raises EngineError."""
        lines = self._library.memtool_log_reader_calls(self._handle)
        if lines is None:
            raise EngineError("no memory to read the text")
        return {name: int(count) for name, count in map(str.split, lines.decode("utf-8", "replace").splitlines())}


class Recording(Handle):
    """The recording of one process, read in the order of time while it is written or afterwards."""

    def __init__(self, descriptor: int, beside: Path | None = None) -> None:
        """Use a file that stays open for reading and writing. Raises EngineError.

        ``beside`` is the path of the file on the disk, existing or not, of a recording in memory.
        """
        library = _library()
        self._descriptor = descriptor
        self._message = ctypes.create_string_buffer(MESSAGE_BYTES)
        path = b"" if beside is None else os.fsencode(beside)
        handle = library.memtool_recording_open(descriptor, path, self._message)
        super().__init__(library, "memtool_recording_close", handle, self._message.value.decode())

    @property
    def head(self) -> RecordingHead:
        """The current head: its counts grow while the program runs."""
        head: RecordingHead = self._library.memtool_recording_head(self._handle).contents
        return head

    def stop(self, problem: int) -> None:
        """Tell the process to stop recording, as it does itself at an error of that number. Raises OSError."""
        field = RecordingHead.stopped
        os.pwrite(self._descriptor, problem.to_bytes(field.size, sys.byteorder), field.offset)

    def program(self) -> str:
        """Return the path of the program, truncated to 255 bytes."""
        return os.fsdecode(self.head.program)

    def arguments(self) -> list[str]:
        """Return the program's arguments, its name first; truncated to 1,023 bytes."""
        words = bytes(self.head.arguments).rstrip(b"\0")
        return [os.fsdecode(word) for word in words.split(b"\0")]

    @property
    def damaged_chunks(self) -> int:
        """Number of chunks that are not, or not completely, valid output of a recorder."""
        return int(self._library.memtool_recording_damaged(self._handle))

    def stacks(self) -> Iterator[Stack]:
        """Yield the call stacks read since the last call; an event's stack never comes after the event."""
        words = ctypes.c_void_p()
        count = self._library.memtool_recording_stacks(self._handle, ctypes.byref(words))
        taken = _view(words.value, 8 * count).cast("Q").tolist()
        at = 0
        while at < len(taken):
            number, end, frames = taken[at : at + 3]
            at += 3
            yield Stack(number, tuple(taken[at : at + frames]), end == _CUT)
            at += frames

    def read(self, limit: int = NEVER, most: int = 1 << 18) -> Iterator[memoryview]:
        """Yield AddressEvents earlier than ``limit``, in ticks, at most this many at a time. Raises EngineError.

        The disk space of data that was read is released.
        """
        seen, count = ctypes.c_void_p(), _u64()
        while True:
            status = self._library.memtool_recording_read(
                self._handle, limit, most, ctypes.byref(seen), ctypes.byref(count), self._message
            )
            if status != DONE:
                raise EngineError(self._message.value.decode())
            if count.value == 0:
                return
            yield _view(seen.value, SEEN_BYTES * count.value)
