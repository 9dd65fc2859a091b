"""The engine's descriptions of strategies and adaptors, and heaps that are driven operation by operation."""

from __future__ import annotations

import ctypes
import mmap

from memtool.engine.loading import (
    DONE,
    MAP_NORESERVE,
    MESSAGE_BYTES,
    NOT_APPLICABLE,
    WRONG,
    EngineError,
    declare,
    load_library,
)

_u64 = ctypes.c_uint64
_u32 = ctypes.c_uint32


class _Limits(ctypes.Structure):
    _fields_ = [
        (name, _u64) for name in ("largest_size", "largest_alignment", "uses_region", "most_blocks", "least_alignment")
    ]


class _HeapFigures(ctypes.Structure):
    _fields_ = [
        (name, _u64)
        for name in (
            "footprint",
            "granted",
            "free_bytes",
            "largest_free",
            "free_blocks",
            "used_blocks",
            "metadata_bytes",
            "metadata_apart_bytes",
        )
    ]


_WALK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, _u64, _u32, ctypes.c_void_p)
_STATES = ("used", "free", "metadata")


class CannotStand(EngineError):
    """An adaptor cannot wrap the allocator below it; the line says what it needs."""


class BrokenInvariant(Exception):
    """A strategy's own check() failed, or an adaptor has detected misuse; the message is its own."""


def _library() -> ctypes.CDLL:
    library = load_library()
    heap = pointer = ctypes.c_void_p
    text = ctypes.c_char_p
    signatures: dict[str, tuple[object, list[object]]] = {
        "memtool_describe": (text, []),
        "memtool_describe_adaptors": (text, []),
        "memtool_describe_collectors": (text, []),
        "memtool_limits": (_u32, [text, text, _u64, ctypes.POINTER(_Limits), text]),
        "memtool_heap_open": (heap, [text, text, pointer, _u64, text]),
        "memtool_heap_close": (None, [heap]),
        "memtool_heap_allocate": (pointer, [heap, _u64, _u64]),
        "memtool_heap_allocate_zeroed": (pointer, [heap, _u64, _u64]),
        "memtool_heap_deallocate": (None, [heap, pointer, _u64, _u64]),
        "memtool_heap_reallocate": (pointer, [heap, pointer, _u64, _u64, _u64]),
        "memtool_heap_mark": (_u32, [heap]),
        "memtool_heap_release": (_u32, [heap]),
        "memtool_heap_usable_size": (_u64, [heap, pointer, _u64]),
        "memtool_heap_figures": (None, [heap, ctypes.POINTER(_HeapFigures)]),
        "memtool_heap_walk": (None, [heap, _WALK, pointer]),
        "memtool_heap_check": (_u32, [heap, text]),
        "memtool_heap_report": (text, [heap]),
    }
    declare(library, signatures)
    return library


def describe_json() -> str:
    """Return every strategy of the engine as a JSON array (engine/abi/capi.cpp describes the objects)."""
    return str(_library().memtool_describe().decode())


def describe() -> list[dict[str, object]]:
    """Return every strategy of the engine with its parameters and capabilities, in the order of the list."""
    return _listed(describe_json())


def describe_adaptors() -> list[dict[str, object]]:
    """Return every adaptor of the engine with its parameters, in the order of the list."""
    return _listed(_library().memtool_describe_adaptors())


def describe_collectors() -> list[dict[str, object]]:
    """Return every garbage collector of the engine with its parameters, in the order of the list."""
    return _listed(_library().memtool_describe_collectors())


def _listed(text: str | bytes) -> list[dict[str, object]]:
    import json

    listed: list[dict[str, object]] = json.loads(text)
    return listed


def limits(strategy: str, parameters: str, alignment: int = 16) -> tuple[int | None, int | None]:
    """Return (largest size, largest alignment) in bytes that a strategy serves; None: no limit.

    ``alignment`` is that of the requests, on which the overhead of some adaptors depends. Raises EngineError, and
    CannotStand for an adaptor that cannot wrap the allocator below it.
    """
    engine_limits = _limits(strategy, parameters, alignment)
    return _known(engine_limits.largest_size), _known(engine_limits.largest_alignment)


def uses_region(strategy: str, parameters: str) -> bool:
    """Return whether a strategy with these parameters uses its region. Raises as limits() does."""
    return bool(_limits(strategy, parameters, 16).uses_region)


def most_blocks(strategy: str, parameters: str) -> int | None:
    """Return the largest number of live blocks of a strategy; None: no limit. Raises as limits() does."""
    return _known(_limits(strategy, parameters, 16).most_blocks)


def least_alignment(strategy: str, parameters: str) -> int:
    """Return the alignment of every block of a strategy, even if less is requested. Raises as limits() does."""
    return int(_limits(strategy, parameters, 16).least_alignment)


def _limits(strategy: str, parameters: str, alignment: int) -> _Limits:
    values = _Limits()
    message = ctypes.create_string_buffer(MESSAGE_BYTES)
    status = _library().memtool_limits(strategy.encode(), parameters.encode(), alignment, ctypes.byref(values), message)
    if status != DONE:
        raise (CannotStand if status == WRONG else EngineError)(message.value.decode(errors="replace"))
    return values


def _known(figure: int) -> int | None:
    return None if figure == NOT_APPLICABLE else figure


class Heap:
    """One strategy on one anonymous region, driven operation by operation. Never timed.

    Addresses are offsets from the region's base; for a strategy over malloc the offsets have no meaning.
    """

    def __init__(self, strategy: str, parameters: str = "", capacity: int = 1 << 30, alignment: int = 4096) -> None:
        """Reserve ``capacity`` bytes with this alignment, and open the strategy on them. Raises EngineError."""
        self._library = _library()
        size = capacity + alignment
        self._memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
        self._view: ctypes.Array[ctypes.c_char] | None = (ctypes.c_char * size).from_buffer(self._memory)
        self.base = -(-ctypes.addressof(self._view) // alignment) * alignment
        message = ctypes.create_string_buffer(MESSAGE_BYTES)
        self._heap: int | None = self._library.memtool_heap_open(
            strategy.encode(), parameters.encode(), self.base, capacity, message
        )
        if not self._heap:
            self.close()
            raise EngineError(message.value.decode(errors="replace"))

    def close(self) -> None:
        """Release everything; the heap cannot be used any more."""
        if self._heap:
            self._library.memtool_heap_close(self._heap)
            self._heap = None
        if self._view is not None:
            self._view = None
            self._memory.close()

    def __enter__(self) -> Heap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _offset(self, address: int | None) -> int | None:
        return None if address is None else address - self.base

    def allocate(self, size: int, alignment: int = 16) -> int | None:
        """Return the offset of a new block of ``size`` bytes, or None when memory is exhausted."""
        return self._offset(self._library.memtool_heap_allocate(self._heap, size, alignment))

    def allocate_zeroed(self, size: int, alignment: int = 16) -> int | None:
        """Return the offset of a new block of zeroes, or None when memory is exhausted."""
        return self._offset(self._library.memtool_heap_allocate_zeroed(self._heap, size, alignment))

    def deallocate(self, offset: int, size: int, alignment: int = 16) -> None:
        """Free a block; size and alignment are those of its request."""
        self._library.memtool_heap_deallocate(self._heap, self.base + offset, size, alignment)

    def reallocate(self, offset: int, old_size: int, new_size: int, alignment: int = 16) -> int | None:
        """Return the offset of the resized block, with its contents; None: the block is unchanged."""
        address = self.base + offset
        return self._offset(self._library.memtool_heap_reallocate(self._heap, address, old_size, new_size, alignment))

    def mark(self) -> bool:
        """Begin a scope; return False if the strategy has no scopes."""
        return bool(self._library.memtool_heap_mark(self._heap))

    def release(self) -> bool:
        """End the youngest scope, and free everything allocated in it; return False if there is none."""
        return bool(self._library.memtool_heap_release(self._heap))

    def usable_size(self, offset: int, size: int) -> int:
        """Return the usable bytes of a live block which was requested with ``size``."""
        return int(self._library.memtool_heap_usable_size(self._heap, self.base + offset, size))

    def stats(self) -> dict[str, int | None]:
        """Return the strategy's figures in bytes and blocks; None for figures that it does not report."""
        figures = self._figures()
        return {name: _known(getattr(figures, name)) for name, *_ in _HeapFigures._fields_}

    def _figures(self) -> _HeapFigures:
        figures = _HeapFigures()
        self._library.memtool_heap_figures(self._heap, ctypes.byref(figures))
        return figures

    @property
    def footprint(self) -> int:
        """Return the bytes that the strategy has taken from its region."""
        size = _known(self._figures().footprint)
        assert size is not None
        return size

    def walk(self) -> list[tuple[int, int, str]]:
        """Return (offset, bytes, "used" | "free" | "metadata") for the whole footprint, in address order."""
        blocks: list[tuple[int, int, str]] = []

        def visit(address: int | None, count: int, state: int, _: object) -> None:
            blocks.append(((address or 0) - self.base, count, _STATES[state]))

        self._library.memtool_heap_walk(self._heap, _WALK(visit), None)
        return blocks

    def check(self) -> None:
        """Verify the strategy's own invariants. Raises BrokenInvariant."""
        message = ctypes.create_string_buffer(MESSAGE_BYTES)
        if self._library.memtool_heap_check(self._heap, message) != DONE:
            raise BrokenInvariant(message.value.decode(errors="replace"))

    def report(self) -> dict[str, object]:
        """Return the reports of the adaptors, by adaptor."""
        import json

        reported: dict[str, object] = json.loads(f"{{{self._library.memtool_heap_report(self._heap).decode()}}}")
        return reported
