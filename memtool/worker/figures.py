"""The memory in which a worker stores its figures: laid out by the pass, and read when the worker has ended."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

from memtool.passes import Figures
from memtool.passes.declaration import Measure
from memtool.passes.layout import KNOWN, U64, Array, Asked, Counts, Kind, Layout, Number, Part, Text, known
from memtool.passes.records import record_from

_WORD = 8


@cache
def _ctype(kind: Kind) -> Any:  # noqa: ANN401  # ctypes has no common type
    if isinstance(kind, Number):
        return ctypes.c_uint64 if kind in (U64, KNOWN) else ctypes.c_double
    if isinstance(kind, Text):
        return ctypes.c_char * kind.bytes
    if isinstance(kind, Array):
        return _ctype(kind.of) * kind.length
    if isinstance(kind, Counts):
        return ctypes.c_uint64 * kind.length
    fields = [(name, _ctype(member)) for name, member in kind.fields]
    return type("Structure", (ctypes.Structure,), {"_fields_": fields})


def _plain(held: Any, kind: Kind) -> Any:  # noqa: ANN401
    """Return the content of memory: numbers, texts, lists of them, and structures as fields by name.

    Counts become pairs: (index, count) of those that are not zero.
    """
    if isinstance(kind, Layout):
        return {name: _plain(getattr(held, name), member) for name, member in kind.fields}
    if isinstance(kind, Array):
        return list(held) if isinstance(kind.of, Number) else [_plain(member, kind.of) for member in held]
    if isinstance(kind, Counts):
        # Most are beyond the last count that is not zero: checking each would cost a sample three milliseconds.
        used = (len(bytes(held).rstrip(b"\0")) + _WORD - 1) // _WORD
        return [(index, count) for index, count in enumerate(held[:used]) if count]
    if isinstance(kind, Text):
        return held.decode(errors="replace")
    return known(held) if kind is KNOWN else held


def head_bytes(measure: Measure) -> int:
    """Return the length of a pass's structure, without the parts after it."""
    return ctypes.sizeof(_ctype(measure.layout))


def _offsets(measure: Measure, parts: Sequence[Part]) -> tuple[dict[str, int], int]:
    """Return the offset of each part, and that of the end of the last one."""
    end = head_bytes(measure)
    offsets = {}
    for part in parts:
        offsets[part.name] = end
        end += part.length * _WORD
    return offsets, end


def initial_memory(measure: Measure, asked: Asked) -> tuple[bytes, int]:
    """Return (the initial content of the memory, its length in bytes); the rest is zero."""
    initial = measure.given(asked)
    offsets, end = _offsets(measure, initial.parts)
    kind = _ctype(measure.layout)
    fields = {**initial.fields, **offsets}
    # The structure of a pass may be a megabyte, and the worker fills in nearly all of it.
    last = max((getattr(kind, name).offset + getattr(kind, name).size for name in fields), default=0)
    content = memoryview(kind(**fields)).cast("B")[:last].tobytes()
    for part in initial.parts:
        if part.content:
            numbers = (ctypes.c_uint64 * part.length)(*part.content)
            content = content.ljust(offsets[part.name], b"\0") + bytes(numbers)
    return content, end


def read(measure: Measure, asked: Asked, memory: bytes, counted: dict[str, Any]) -> Figures:
    """Return the record of a worker's figures, and of those that were ``counted`` outside of it.

    Raises ValueError in one line if they are not valid.
    """
    parts = measure.given(asked).parts
    offsets, end = _offsets(measure, parts)
    if len(memory) != end:
        raise ValueError(f"{len(memory)} bytes, not {end}")
    held = _plain(_ctype(measure.layout).from_buffer_copy(memory), measure.layout)
    words = {part.name: memoryview(memory)[offsets[part.name] :][: part.length * _WORD].cast("Q") for part in parts}
    return record_from(measure.figures, {**measure.unpack(held, words, asked), **counted})
