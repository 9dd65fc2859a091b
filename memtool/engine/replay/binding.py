"""The request and the result of a replay, as ctypes structures (engine/abi/capi.h).

A worker imports this module; see engine/loading.py.
"""

from __future__ import annotations

import ctypes

from memtool.engine.loading import MESSAGE_BYTES, declare, load_library

# As in worker/child.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MOST_MAPS = 8
REGION_SHARED, REGION_LOCKED = 1, 2

_u64 = ctypes.c_uint64
_u32 = ctypes.c_uint32

PLACE_FIGURES = ("at", "object", "other", "operations")


class ThreadPlace(ctypes.Structure):
    """The state of a thread of a replay."""

    _fields_ = [*((name, _u64) for name in PLACE_FIGURES), ("reserved", _u64 * 4)]


class ReplayRequest(ctypes.Structure):
    """The replayed image, the allocator, and the memory for the figures."""

    _fields_ = [
        ("struct_bytes", _u64),
        ("kind", ctypes.c_char_p),
        ("way", ctypes.c_char_p),
        ("run_pass", ctypes.c_char_p),
        ("strategy", ctypes.c_char_p),
        ("parameters", ctypes.c_char_p),
        ("image", ctypes.c_void_p),
        ("image_bytes", _u64),
        ("image_window", _u64),
        ("region", ctypes.c_void_p),
        ("region_bytes", _u64),
        ("populate_bytes", _u64),
        ("region_flags", _u32),
        ("mode", _u32),
        ("warmups", _u32),
        ("iterations", _u32),
        ("use_counter", _u32),
        ("processors", _u32),
        ("is_paced", _u32),
        ("reserved", _u32),
        ("ticks_per_ns", ctypes.c_double),
        ("places", ctypes.c_void_p),
        ("figures", ctypes.c_void_p),
        ("figures_bytes", _u64),
    ]


class ReplayResult(ctypes.Structure):
    """The outcome of the replay; its figures are defined by the pass (memtool/passes)."""

    _fields_ = [
        ("struct_bytes", _u64),
        ("status", _u32),
        ("reserved", _u32),
        ("failed_operation", _u64),
        ("failed_size", _u64),
        ("own_switches", _u64),
        ("message", ctypes.c_char * MESSAGE_BYTES),
    ]


NOISE_FIGURES = ("elapsed_ns", "machine_ticks", "steal_ticks", "involuntary_switches", "voluntary_switches")
VERSION_KINDS = ("text", "mallctl", "mimalloc", "tcmalloc")
_PATH_BYTES, _BUILD_ID_BYTES, _CODE_BYTES, _MOST_ADVICE = 4096, 128, 65536, 8


class NoiseReading(ctypes.Structure):
    """Disturbances by the machine; see worker/lean_job.h."""

    _fields_ = [(name, _u64) for name in NOISE_FIGURES]


class LeanJob(ctypes.Structure):
    """The request to a lean worker, and its answer; see worker/lean_job.h."""

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
                "kind",
                "way",
                "run_pass",
                "version",
                "figures",
                "lanes",
                "region_alignment",
            )
        ),
        ("advice", ctypes.c_int32 * _MOST_ADVICE),
        ("image_descriptor", ctypes.c_int32),
        ("region_descriptor", ctypes.c_int32),
        ("places_descriptor", ctypes.c_int32),
        ("version_kind", _u32),
        ("one_processor", _u32),
        ("resident", _u32),
        ("own_kernel", _u32),
        ("finished", _u32),
        ("before", NoiseReading),
        ("after", NoiseReading),
        ("code", ctypes.c_char * _CODE_BYTES),
        ("malloc_version", ctypes.c_char * _BUILD_ID_BYTES),
        ("malloc_owner", ctypes.c_char * _PATH_BYTES),
        ("malloc_build_id", ctypes.c_char * _BUILD_ID_BYTES),
        ("adopted_owner", ctypes.c_char * _PATH_BYTES),
        ("adopted_build_id", ctypes.c_char * _BUILD_ID_BYTES),
        ("request", ReplayRequest),
        ("result", ReplayResult),
    ]


def kernel(engine: str | None = None, library: str | None = None) -> Callable[..., int]:
    """Return the function that replays a ReplayRequest into a ReplayResult, from the engine or from a kind's library.

    Such a library has a single function, ``memtool_run``, and may call the engine. Raises EngineError.
    """
    run: tuple[object, list[object]] = (_u32, [ctypes.POINTER(ReplayRequest), ctypes.POINTER(ReplayResult)])
    loaded = load_library(engine)
    if library is None:
        declare(loaded, {"memtool_replay": run})
        replay: Callable[..., int] = loaded.memtool_replay
        return replay
    loaded = ctypes.CDLL(library)
    declare(loaded, {"memtool_run": run})
    own: Callable[..., int] = loaded.memtool_run
    return own
