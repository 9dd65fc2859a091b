"""The only ctypes signatures of the engine (engine/abi/capi.h), for the parent and for the worker.

A worker imports this module under ``python -I -S`` and is measured in milliseconds, so nothing is imported here that
ctypes does not need itself.
"""

from __future__ import annotations

import ctypes
import mmap
import os

ABI_VERSION = 6

CHECK, THROUGHPUT, LATENCY, FOOTPRINT, COUNTERS, HEAP, CALLS = range(7)
DONE, OUT_OF_MEMORY, WRONG, BAD_REQUEST = range(4)
HISTOGRAMS = ("allocate", "deallocate", "reallocate", "first_touch", "floor", "remote_deallocate", "frame")
MOST_ITERATIONS = 64
SIZE_CLASSES, SLICES, SLOW = 9, 400, 3
SYSTEM_CALLS = ("mmap", "munmap", "mremap", "madvise", "brk", "mprotect")
"""Those that are counted, in the engine's order."""
MOST_EXTENTS, MOST_BUCKETS, MOST_MAPS = 256, 2048, 8
AT_PEAK, AT_END = 2**64 - 1, 2**64 - 2
DRAIN_READINGS = 4
NOT_APPLICABLE = 2**64 - 1
REGION_SHARED, REGION_LOCKED = 1, 2
COUNTERS_OF = ("none", "perf", "callgrind")
"""What counts instructions, in the order of the engine's numbers."""
_MESSAGE_BYTES = 400
_REPORT_BYTES = 8192
MAP_NORESERVE = 0x4000
"""Linux, x86-64 and aarch64; Python's mmap module does not name it."""
LIBRARY_NAME = "libmemtool_engine.so"
LEAN_NAME = "memtool-lean"

_u64 = ctypes.c_uint64
_u32 = ctypes.c_uint32

SERIES_COLUMNS = (
    "clock",
    "live_bytes",
    "live_objects",
    "granted_bytes",
    "footprint_bytes",
    "resident_bytes",
    "free_bytes",
    "largest_free",
    "free_blocks",
    "used_blocks",
    "metadata_bytes",
    "most_live_bytes",
    "most_footprint_bytes",
    "most_resident_bytes",
)


class LatencySlice(ctypes.Structure):
    """The slowest of one kind of operation in one slice of the run, in ticks, and how many were slow."""

    _fields_ = [("maximum", _u64), ("slow", _u64 * SLOW)]


class CheckpointRow(ctypes.Structure):
    """One checkpoint of the footprint pass; 2^64 - 1 stands for not applicable."""

    _fields_ = [(name, _u64) for name in SERIES_COLUMNS]


class RegionAccount(ctypes.Structure):
    """What the kernel says of the region's mappings at the peak of live bytes."""

    _fields_ = [
        ("resident_bytes", _u64),
        ("anonymous_bytes", _u64),
        ("huge_bytes", _u64),
        ("locked_bytes", _u64),
        ("page_bytes", _u64),
        ("mapping", ctypes.c_char * 256),
    ]


OWN_FIGURES = ("in_use_bytes", "free_bytes", "metadata_bytes", "mapped_bytes")
BUCKET_FIGURES = ("used", "free", "metadata", "resident", "before")


class OwnFigures(ctypes.Structure):
    """What a malloc says of itself; 2^64 - 1 where it does not say."""

    _fields_ = [(name, _u64) for name in OWN_FIGURES]


class MapExtent(ctypes.Structure):
    """Addresses that lie together."""

    _fields_ = [(name, _u64) for name in ("address", "bytes", "first_bucket")]


class MapBucket(ctypes.Structure):
    """Who holds how many bytes of a bucket."""

    _fields_ = [(name, _u64) for name in BUCKET_FIGURES]


class HeapMap(ctypes.Structure):
    """A heap at one moment; see engine/abi/capi.h."""

    _fields_ = [
        ("moment", _u64),
        ("clock", _u64),
        ("live_bytes", _u64),
        ("walked", _u64),
        ("bucket_bytes", _u64),
        ("extents", _u64),
        ("buckets", _u64),
        ("left_out_bytes", _u64),
        ("own", OwnFigures),
        ("extent", MapExtent * MOST_EXTENTS),
        ("bucket", MapBucket * MOST_BUCKETS),
    ]


THREAD_FIGURES = ("operations", "remote_deallocations", "body_ticks", "wait_ticks")
PLACE_FIGURES = ("at", "object", "other", "operations")


class ThreadRow(ctypes.Structure):
    """One thread of a replay on several."""

    _fields_ = [(name, _u64) for name in THREAD_FIGURES]


class ThreadPlace(ctypes.Structure):
    """What a thread of a replay is at."""

    _fields_ = [*((name, _u64) for name in PLACE_FIGURES), ("reserved", _u64 * 4)]


class ReplayRequest(ctypes.Structure):
    """What to replay, on what, and where to put histograms and series."""

    _fields_ = [
        ("struct_bytes", _u64),
        ("run_pass", _u32),
        ("use_counter", _u32),
        ("strategy", ctypes.c_char_p),
        ("parameters", ctypes.c_char_p),
        ("image", ctypes.c_void_p),
        ("image_bytes", _u64),
        ("region", ctypes.c_void_p),
        ("region_bytes", _u64),
        ("warmups", _u32),
        ("iterations", _u32),
        ("checkpoints", _u32),
        ("region_flags", _u32),
        ("mode", _u32),
        ("populate_bytes", _u64),
        ("counter", _u32),
        ("reserved", _u32),
        ("histograms", ctypes.c_void_p),
        ("series", ctypes.c_void_p),
        ("maps", ctypes.c_void_p),
        ("drain_waits_ms", _u64 * DRAIN_READINGS),
        ("size_histograms", ctypes.c_void_p),
        ("slices", ctypes.c_void_p),
        ("slow_ticks", _u64 * SLOW),
        ("arrivals", ctypes.c_void_p),
        ("ticks_per_ns", ctypes.c_double),
        ("system_calls_socket", ctypes.c_int32),
        ("reserved_2", ctypes.c_int32),
        ("threads", ctypes.c_void_p),
        ("places", ctypes.c_void_p),
        ("thread_histograms", ctypes.c_void_p),
        ("thread_histogram_count", _u32),
        ("processors", _u32),
    ]


class ReplayResult(ctypes.Structure):
    """What the replay found; see engine/abi/capi.h for units."""

    _fields_ = [
        ("struct_bytes", _u64),
        ("status", _u32),
        ("iterations", _u32),
        ("failed_operation", _u64),
        ("failed_size", _u64),
        ("message", ctypes.c_char * _MESSAGE_BYTES),
        ("body_ticks", _u64 * MOST_ITERATIONS),
        ("epilogue_ticks", _u64 * MOST_ITERATIONS),
        ("histogram_maximum", _u64 * len(HISTOGRAMS)),
        ("rows", _u64),
        ("peak_live_bytes", _u64),
        ("peak_granted_bytes", _u64),
        ("peak_footprint_bytes", _u64),
        ("live_at_peak_footprint_bytes", _u64),
        ("granted_at_peak_live_bytes", _u64),
        ("footprint_at_peak_live_bytes", _u64),
        ("ratio_allocations", _u64),
        ("ratio_sum", ctypes.c_double),
        ("baseline_resident_bytes", _u64),
        ("resident_at_peak_live_bytes", _u64),
        ("peak_resident_bytes", _u64),
        ("end_resident_bytes", _u64),
        ("drained_resident_bytes", _u64),
        ("huge_resident_bytes", _u64),
        ("minor_faults", _u64),
        ("major_faults", _u64),
        ("grow_calls", _u64),
        ("shrink_calls", _u64),
        ("checks", _u64),
        ("surviving_objects", _u64),
        ("surviving_size", _u64),
        ("surviving_digest", _u64),
        ("order_digest", _u64),
        ("wait_ticks", _u64 * MOST_ITERATIONS),
        ("at_peak_live", CheckpointRow),
        ("report", ctypes.c_char * _REPORT_BYTES),
        ("region", RegionAccount),
        ("instructions", _u64),
        ("drained", CheckpointRow),
        ("at_mark", CheckpointRow * MOST_MAPS),
        ("maps", _u64),
        ("after_drain_resident", _u64 * DRAIN_READINGS),
        ("own_after_drain", OwnFigures),
        ("cpu_ns", _u64 * MOST_ITERATIONS),
        ("size_maximum", _u64 * (2 * SIZE_CLASSES)),
        ("schedule_ticks", _u64),
        ("latest_ticks", _u64),
        ("end_behind_ticks", _u64),
        ("own_switches", _u64),
    ]


_PATH_BYTES, _BUILD_ID_BYTES, _MOST_ADVICE = 4096, 128, 8


class LeanJob(ctypes.Structure):
    """What a lean worker is told, and what it answers; see engine/abi/capi.h."""

    _fields_ = [
        *(
            (name, _u64)
            for name in (
                "struct_bytes",
                "bytes",
                "starter",
                "adopted",
                "strategy",
                "parameters",
                "series",
                "maps",
                "threads",
                "lanes",
                "region_alignment",
            )
        ),
        ("advice", ctypes.c_int32 * _MOST_ADVICE),
        ("image_descriptor", ctypes.c_int32),
        ("region_descriptor", ctypes.c_int32),
        ("places_descriptor", ctypes.c_int32),
        ("finished", _u32),
        ("malloc_owner", ctypes.c_char * _PATH_BYTES),
        ("malloc_build_id", ctypes.c_char * _BUILD_ID_BYTES),
        ("adopted_owner", ctypes.c_char * _PATH_BYTES),
        ("adopted_build_id", ctypes.c_char * _BUILD_ID_BYTES),
        ("request", ReplayRequest),
        ("result", ReplayResult),
    ]


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


class EngineError(Exception):
    """The engine library is absent, does not fit this package, or refuses a request. One line."""


class CannotStand(EngineError):
    """An adaptor cannot stand on what is below it; the line says what it needs."""


class BrokenInvariant(Exception):
    """A strategy's own check() failed, or an adaptor has detected misuse; the words are its own."""


def engine_path() -> str:
    """Return the path of the engine library. ``MEMTOOL_ENGINE`` names another build of it. Raises EngineError."""
    chosen = os.environ.get("MEMTOOL_ENGINE")
    if chosen:
        if not os.path.exists(chosen):
            raise EngineError(f"MEMTOOL_ENGINE names {chosen}, which does not exist")
        return os.path.abspath(chosen)
    # Not __file__: an editable install keeps the library elsewhere than the sources.
    from importlib.resources import files

    found = files("memtool.engine").joinpath(LIBRARY_NAME)
    if not found.is_file():
        raise EngineError(f"the engine library {LIBRARY_NAME} is not built: run `make native`, or `pip install .`")
    return str(found)


def lean_path() -> str:
    """Return the path of the program in which memory is measured (worker/lean.cpp). Raises EngineError."""
    from importlib.resources import files

    found = files("memtool.engine").joinpath(LEAN_NAME)
    if not found.is_file():
        raise EngineError(f"the program {LEAN_NAME} is not built: run `make native`, or `pip install .`")
    return str(found)


def package_folder() -> str:
    """Return the folder of memtool's Python sources.

    Asked for by a file in it: an editable install has the package in two places, here and where the library was built.
    """
    from importlib.resources import files

    return os.path.dirname(str(files("memtool").joinpath("__init__.py")))


_loaded: list[ctypes.CDLL] = []


def load_library(path: str | None = None) -> ctypes.CDLL:
    """Return the engine library, loaded and declared once in a process. Raises EngineError with one line.

    The first call decides which build it is: the one at ``path``, or the one that engine_path() finds.
    """
    if not _loaded:
        path = path or engine_path()
        try:
            library = ctypes.CDLL(path)
        except OSError as problem:
            raise EngineError(f"the engine library cannot be loaded: {problem}") from None
        _declare(library)
        if library.memtool_abi_version() != ABI_VERSION:
            raise EngineError(f"{path} has another ABI version than this package: run `make native`")
        _loaded.append(library)
    return _loaded[0]


def _declare(library: ctypes.CDLL) -> None:
    heap = ctypes.c_void_p
    pointer = ctypes.c_void_p
    text = ctypes.c_char_p
    signatures: dict[str, tuple[object, list[object]]] = {
        "memtool_abi_version": (_u32, []),
        "memtool_source_hash": (text, []),
        "memtool_compiler": (text, []),
        "memtool_describe": (text, []),
        "memtool_describe_adaptors": (text, []),
        "memtool_counter_refusal": (text, [_u32]),
        "memtool_histogram_buckets": (_u64, []),
        "memtool_schedule_arrivals": (None, [pointer, pointer, _u64]),
        "memtool_system_calls_refusal": (text, []),
        "memtool_count_system_calls": (_u32, [ctypes.c_int, ctypes.POINTER(_u32), ctypes.POINTER(_u64)]),
        "memtool_limits": (_u32, [text, text, _u64, ctypes.POINTER(_Limits), text]),
        "memtool_replay": (_u32, [ctypes.POINTER(ReplayRequest), ctypes.POINTER(ReplayResult)]),
        "memtool_calibrate_counter": (_u64, [_u32]),
        "memtool_symbol_owner": (_u32, [text, text, _u64, text, _u64]),
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


def declare(library: ctypes.CDLL, signatures: dict[str, tuple[object, list[object]]]) -> None:
    """Declare functions of the library by name. Raises EngineError for one that it lacks."""
    for name, (result, arguments) in signatures.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise EngineError(f"the engine library has no {name}: run `make native`") from None
        function.restype = result
        function.argtypes = arguments


def refuse_stale() -> None:
    """Raise EngineError when the C++ sources beside this package are not those that the library was built from.

    A library that MEMTOOL_ENGINE names is taken as it is.
    """
    import hashlib
    from pathlib import Path

    folder = Path(package_folder())
    sources = sorted(str(path) for path in folder.rglob("*") if path.suffix in (".cpp", ".hpp", ".h", ".c"))
    # An installed package has memtool.h, and none of the sources.
    installed = not (Path(folder) / "engine" / "abi" / "capi.cpp").is_file()
    if installed or os.environ.get("MEMTOOL_ENGINE"):
        return
    # As CMakeLists.txt has it: the hash of all files' hashes, in order of their paths.
    hashes = "".join(hashlib.sha256(Path(path).read_bytes()).hexdigest() + "\n" for path in sources)
    if hashlib.sha256(hashes.encode()).hexdigest() != source_hash():
        raise EngineError("the engine library was built from other sources than these: run `make native`")


def describe_json() -> str:
    """Return every strategy of the engine as a JSON array (engine/abi/capi.cpp describes the objects)."""
    return str(load_library().memtool_describe().decode())


def describe() -> list[dict[str, object]]:
    """Return every strategy of the engine with its parameters and capabilities, in the order of the list."""
    import json

    described: list[dict[str, object]] = json.loads(describe_json())
    return described


def describe_adaptors() -> list[dict[str, object]]:
    """Return every adaptor of the engine with its parameters, in the order of the list."""
    import json

    described: list[dict[str, object]] = json.loads(load_library().memtool_describe_adaptors().decode())
    return described


def compiler() -> str:
    """Return which compiler built the engine, with which flags: ``GCC 12.2.0 -O2``.

    Instruction counts are comparable where it is the same.
    """
    return str(load_library().memtool_compiler().decode())


def source_hash() -> str:
    """Return the hash of the sources that the loaded library was built from."""
    return str(load_library().memtool_source_hash().decode())


def limits(strategy: str, parameters: str, alignment: int = 16) -> tuple[int | None, int | None]:
    """Return (largest size, largest alignment) in bytes that a strategy serves; None: no limit.

    ``alignment`` is that of the requests: it decides what some adaptors add to a block. Raises EngineError;
    CannotStand for an adaptor that cannot stand on what is below it.
    """
    found = _limits(strategy, parameters, alignment)
    return _known(found.largest_size), _known(found.largest_alignment)


def uses_region(strategy: str, parameters: str) -> bool:
    """Return whether a strategy with these parameters lives on its region. Raises as limits() does."""
    return bool(_limits(strategy, parameters, 16).uses_region)


def most_blocks(strategy: str, parameters: str) -> int | None:
    """Return how many blocks a strategy can have live at once; None: no limit. Raises as limits() does."""
    return _known(_limits(strategy, parameters, 16).most_blocks)


def least_alignment(strategy: str, parameters: str) -> int:
    """Return what a strategy aligns every block to, also where less is asked for. Raises as limits() does."""
    return int(_limits(strategy, parameters, 16).least_alignment)


def _limits(strategy: str, parameters: str, alignment: int) -> _Limits:
    found = _Limits()
    message = ctypes.create_string_buffer(_MESSAGE_BYTES)
    status = load_library().memtool_limits(
        strategy.encode(), parameters.encode(), alignment, ctypes.byref(found), message
    )
    if status != DONE:
        raise (CannotStand if status == WRONG else EngineError)(message.value.decode(errors="replace"))
    return found


def counter_refusal(counter: str) -> str | None:
    """Return why instructions cannot be counted by ``perf`` or ``callgrind`` here; None: the engine can."""
    words = load_library().memtool_counter_refusal(COUNTERS_OF.index(counter))
    return None if words is None else str(words.decode())


def system_calls_refusal() -> str | None:
    """Return why the kernel does not let system calls be counted; None: it does."""
    words = load_library().memtool_system_calls_refusal()
    return None if words is None else str(words.decode())


def count_system_calls(listener: int, ended: ctypes.c_uint32) -> dict[str, int]:
    """Count what a worker calls, and let it go on, until it is gone or ``ended`` is set. Raises OSError."""
    counts = (_u64 * len(SYSTEM_CALLS))()
    problem = load_library().memtool_count_system_calls(listener, ctypes.byref(ended), counts)
    if problem:
        raise OSError(problem, os.strerror(problem))
    return dict(zip(SYSTEM_CALLS, counts, strict=True))


def calibrate_counter(milliseconds: int) -> float:
    """Return the length of a tick of the processor's counter in nanoseconds, measured over ``milliseconds``."""
    return float(load_library().memtool_calibrate_counter(milliseconds)) / 2**32


def symbol_owner(symbol: str) -> tuple[str, str] | None:
    """Return (path, build id) of the library that owns ``symbol`` in this process; None when nothing does."""
    path = ctypes.create_string_buffer(4096)
    build_id = ctypes.create_string_buffer(128)
    if load_library().memtool_symbol_owner(symbol.encode(), path, len(path), build_id, len(build_id)) != 0:
        return None
    return os.fsdecode(path.value), build_id.value.decode()


def _known(figure: int) -> int | None:
    return None if figure == NOT_APPLICABLE else figure


class Heap:
    """One strategy on one anonymous region, driven operation by operation. Never timed.

    Addresses are offsets from the region's base; for a strategy over malloc they are offsets too, and mean nothing.
    """

    def __init__(self, strategy: str, parameters: str = "", capacity: int = 1 << 30) -> None:
        """Reserve ``capacity`` bytes and open the strategy on them. Raises EngineError."""
        self._library = load_library()
        self._memory = mmap.mmap(-1, capacity, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
        self._view: ctypes.Array[ctypes.c_char] | None = (ctypes.c_char * capacity).from_buffer(self._memory)
        self.base = ctypes.addressof(self._view)
        message = ctypes.create_string_buffer(_MESSAGE_BYTES)
        self._heap: int | None = self._library.memtool_heap_open(
            strategy.encode(), parameters.encode(), self.base, capacity, message
        )
        if not self._heap:
            self.close()
            raise EngineError(message.value.decode(errors="replace"))

    def close(self) -> None:
        """Give everything back; the heap cannot be used any more."""
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
        """Return the offset of a new block of ``size`` bytes, or None when memory is out."""
        return self._offset(self._library.memtool_heap_allocate(self._heap, size, alignment))

    def allocate_zeroed(self, size: int, alignment: int = 16) -> int | None:
        """Return the offset of a new block of zeroes, or None when memory is out."""
        return self._offset(self._library.memtool_heap_allocate_zeroed(self._heap, size, alignment))

    def deallocate(self, offset: int, size: int, alignment: int = 16) -> None:
        """Free a block; size and alignment are those it was asked for with."""
        self._library.memtool_heap_deallocate(self._heap, self.base + offset, size, alignment)

    def reallocate(self, offset: int, old_size: int, new_size: int, alignment: int = 16) -> int | None:
        """Return the offset of the block resized, its contents kept; None leaves it as it was."""
        address = self.base + offset
        return self._offset(self._library.memtool_heap_reallocate(self._heap, address, old_size, new_size, alignment))

    def mark(self) -> bool:
        """Begin a scope; False where the strategy has none."""
        return bool(self._library.memtool_heap_mark(self._heap))

    def release(self) -> bool:
        """End the youngest scope: everything allocated in it is gone; False where there is none."""
        return bool(self._library.memtool_heap_release(self._heap))

    def usable_size(self, offset: int, size: int) -> int:
        """Return the bytes that may be used of a live block which was asked for with ``size``."""
        return int(self._library.memtool_heap_usable_size(self._heap, self.base + offset, size))

    def stats(self) -> dict[str, int | None]:
        """Return the strategy's figures in bytes and blocks; None where it has no such thing."""
        figures = _HeapFigures()
        self._library.memtool_heap_figures(self._heap, ctypes.byref(figures))
        return {name: _known(getattr(figures, name)) for name, *_ in _HeapFigures._fields_}

    @property
    def footprint(self) -> int:
        """Return the bytes that the strategy has taken from its region."""
        found = self.stats()["footprint"]
        assert found is not None
        return found

    def walk(self) -> list[tuple[int, int, str]]:
        """Return (offset, bytes, "used" | "free" | "metadata") for the whole footprint, in address order."""
        blocks: list[tuple[int, int, str]] = []

        def visit(address: int | None, count: int, state: int, _: object) -> None:
            blocks.append(((address or 0) - self.base, count, _STATES[state]))

        self._library.memtool_heap_walk(self._heap, _WALK(visit), None)
        return blocks

    def check(self) -> None:
        """Verify the strategy's own invariants. Raises BrokenInvariant."""
        message = ctypes.create_string_buffer(_MESSAGE_BYTES)
        if self._library.memtool_heap_check(self._heap, message) != DONE:
            raise BrokenInvariant(message.value.decode(errors="replace"))

    def report(self) -> dict[str, object]:
        """Return what the adaptors report, by adaptor."""
        import json

        reported: dict[str, object] = json.loads(f"{{{self._library.memtool_heap_report(self._heap).decode()}}}")
        return reported
