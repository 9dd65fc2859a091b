"""What a replay is asked for and what it answers, as ctypes has it (engine/abi/capi.h).

A worker imports this module; see engine/loading.py.
"""

from __future__ import annotations

import ctypes

from memtool.engine.loading import MESSAGE_BYTES, declare, load_library

CHECK, THROUGHPUT, LATENCY, FOOTPRINT, COUNTERS, HEAP, CALLS = range(7)
HISTOGRAMS = (
    "allocate",
    "deallocate",
    "reallocate",
    "first_touch",
    "floor",
    "remote_deallocate",
    "frame",
    "touch_floor",
)
MOST_ITERATIONS = 64
SIZE_CLASSES, SLICES, SLOW = 9, 400, 3
MOST_EXTENTS, MOST_BUCKETS, MOST_MAPS = 256, 2048, 8
AT_PEAK, AT_END = 2**64 - 1, 2**64 - 2
DRAIN_READINGS = 4
REGION_SHARED, REGION_LOCKED = 1, 2
_REPORT_BYTES = 8192

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
        ("message", ctypes.c_char * MESSAGE_BYTES),
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
        ("beside_limit_bytes", _u64),
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


def replay_library(path: str | None = None) -> ctypes.CDLL:
    """Return the engine library with the functions of a replay declared. Raises EngineError."""
    library = load_library(path)
    declare(
        library,
        {
            "memtool_histogram_buckets": (_u64, []),
            "memtool_replay": (_u32, [ctypes.POINTER(ReplayRequest), ctypes.POINTER(ReplayResult)]),
        },
    )
    return library
