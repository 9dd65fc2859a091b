"""The worker process: replays one pass of one cell, answers on a pipe, ends.

Run by file path under ``python -I -S`` with nothing but what ctypes needs: everything imported here is in every
measured process, and costs its start.
"""

from __future__ import annotations

import os
import sys
from marshal import dumps, loads

# Not typing's own: importing typing would cost every worker a millisecond. Type checkers take the name for true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TUNES = "MALLOC"
"""In the names of the variables by which the system's allocators are tuned: MALLOC_CONF, MIMALLOC_PURGE_DELAY..."""
_TUNING = ("GLIBC_TUNABLES", "LD_PRELOAD")
_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def main() -> None:
    """Read the request, replay, answer. Ends with os._exit: what the interpreter would tidy up is not ours to time."""
    request = loads(sys.stdin.buffer.read())
    import ctypes

    # Before anything can go on for long: a worker must not outlive the parent that would have killed it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != request["parent"]:
        os._exit(1)
    answer = dumps(_replay(request) if request["lean"] is None else _replay_in_lean_worker(request))
    answer = request["token"] + len(answer).to_bytes(8, "little") + answer + request["token"]
    while answer:
        answer = answer[os.write(request["result"], answer) :]
    os._exit(0)


def _is_in_memory(image: int) -> bool:
    """Return whether an image may be mapped at once: one on a disk is there because memory has no room for it.

    Only files in memory have seals.
    """
    import fcntl

    try:
        fcntl.fcntl(image, fcntl.F_GET_SEALS)
    except OSError:
        return False
    return True


def _replay(request: dict[str, Any]) -> dict[str, Any]:
    import ctypes
    import mmap

    from memtool.engine.instruments.binding import symbol_owner
    from memtool.engine.loading import DONE, WRONG
    from memtool.engine.replay import binding
    from memtool.host import noise

    library = binding.replay_library(request["library"])
    sys.path += [folder for folder in request["path"] if folder not in sys.path]
    callbacks = _adopt(request["adopted"]) if request["adopted"] is not None else None
    descriptor, image_bytes = request["image"]
    image = mmap.mmap(
        descriptor, image_bytes, mmap.MAP_SHARED | (mmap.MAP_POPULATE if _is_in_memory(descriptor) else 0)
    )
    image_view = (ctypes.c_char * image_bytes).from_buffer(image)
    region_bytes, alignment, advice, populate_bytes, flags, descriptor = request["region"]
    memory, base = _reserve(region_bytes, alignment, advice)
    if descriptor is not None:
        _map_file(base, region_bytes, descriptor, shared=bool(flags & binding.REGION_SHARED))

    histograms = sizes = slices = arrivals = None
    buckets = library.memtool_histogram_buckets()
    if request["run_pass"] == binding.LATENCY:
        histograms = (ctypes.c_uint64 * (len(binding.HISTOGRAMS) * buckets))()
        sizes = (ctypes.c_uint64 * (2 * binding.SIZE_CLASSES * buckets))()
        slices = (binding.LatencySlice * (2 * binding.SLICES))()
        if request["arrivals"] is not None:
            arrivals = (ctypes.c_uint64 * len(request["arrivals"]))(*request["arrivals"])
    threads = _thread_memory(request["threads"], buckets)
    series = (binding.CheckpointRow * (request["checkpoints"] + 2))()
    maps = (binding.HeapMap * binding.MOST_MAPS)() if request["run_pass"] == binding.HEAP else None
    result = binding.ReplayResult(struct_bytes=ctypes.sizeof(binding.ReplayResult))
    call = binding.ReplayRequest(
        struct_bytes=ctypes.sizeof(binding.ReplayRequest),
        run_pass=request["run_pass"],
        use_counter=request["use_counter"],
        strategy=request["strategy"].encode(),
        parameters=request["parameters"].encode(),
        image=ctypes.addressof(image_view),
        image_bytes=image_bytes,
        region=base,
        region_bytes=region_bytes,
        warmups=request["warmups"],
        iterations=request["iterations"],
        checkpoints=request["checkpoints"],
        region_flags=flags,
        counter=request["counter"],
        populate_bytes=populate_bytes,
        histograms=ctypes.addressof(histograms) if histograms is not None else None,
        series=ctypes.addressof(series),
        maps=ctypes.addressof(maps) if maps is not None else None,
        drain_waits_ms=request["drain_waits_ms"],
        size_histograms=ctypes.addressof(sizes) if sizes is not None else None,
        slices=ctypes.addressof(slices) if slices is not None else None,
        slow_ticks=request["slow_ticks"],
        arrivals=ctypes.addressof(arrivals) if arrivals is not None else None,
        ticks_per_ns=1 / request["ns_per_tick"],
        system_calls_socket=request["system_calls_socket"],
    )
    if threads is not None:
        threads.add_to(call, request["run_pass"])
    before = noise.read()
    library.memtool_replay(ctypes.byref(call), ctypes.byref(result))
    after = noise.read()

    answer = {
        "status": result.status,
        "message": result.message.decode(errors="replace"),
        "failed_operation": result.failed_operation,
        "proof": {
            **_proof(symbol_owner("malloc"), request["version"]),
            **_proof_of_adopted(request["adopted"]),
            "code": _code(),
        },
        "noise": {name: after[name] - before[name] for name in after},
    }
    # Threads without a processor each take it from one another.
    shares = request["threads"] is not None and request["threads"][2] == 0
    answer["noise"]["own_switches"] = answer["noise"]["involuntary_switches"] if shares else result.own_switches
    if callbacks is not None and callbacks.failure is not None:
        answer.update(status=WRONG, message=callbacks.failure)
    elif result.status == DONE and maps is not None:
        answer["figures"] = _heap(binding, result, maps, request["marks"])
    elif result.status == DONE:
        figures = _figures(binding, request["run_pass"], result, histograms, buckets, series)
        figures |= _at_marks(binding, request["run_pass"], result, request["marks"])
        if threads is not None and request["run_pass"] in (binding.THROUGHPUT, binding.LATENCY):
            figures.update(threads.figures(result))
        if sizes is not None and slices is not None:
            figures.update(_latency_detail(binding, result, sizes, slices, buckets, threads is None))
        answer["figures"] = figures
    del memory
    return answer


def _replay_in_lean_worker(request: dict[str, Any]) -> dict[str, Any]:
    """Replay in a process that did nothing before (lean.cpp), so that the malloc under test holds nothing of ours."""
    from memtool.engine.loading import DONE
    from memtool.engine.replay import binding
    from memtool.host import noise
    from memtool.worker.lean_job import LeanJob

    job = LeanJob(request)
    before = noise.read()
    job.run()
    after = noise.read()
    head = job.head
    owner = (os.fsdecode(head.malloc_owner), head.malloc_build_id.decode()) if head.malloc_owner else None
    proof = _proof(owner, request["version"])
    if head.adopted_owner:
        proof |= {
            "library": os.fsdecode(head.adopted_owner),
            "library_build_id": head.adopted_build_id.decode() or None,
        }
    result = head.result
    answer = {
        "status": result.status,
        "message": result.message.decode(errors="replace"),
        "failed_operation": result.failed_operation,
        "proof": {**proof, "code": _code(request["library"], os.fsdecode(head.adopted_owner))},
        "noise": {name: after[name] - before[name] for name in after},
    }
    if result.status == DONE and request["run_pass"] == binding.HEAP:
        maps = (binding.HeapMap * binding.MOST_MAPS).from_buffer(job.memory, head.maps)
        answer["figures"] = _heap(binding, result, maps, request["marks"])
    elif result.status == DONE:
        series = (binding.CheckpointRow * (request["checkpoints"] + 2)).from_buffer(job.memory, head.series)
        figures = _figures(binding, request["run_pass"], result, None, 0, series)
        answer["figures"] = figures | _at_marks(binding, request["run_pass"], result, request["marks"])
    return answer


def _thread_memory(threads: tuple[int, int, int, int] | None, buckets: int) -> Any:
    """Return what a replay on several threads needs besides; None: there is one."""
    if threads is None:
        return None
    from memtool.worker.thread_memory import ThreadMemory

    return ThreadMemory(threads, buckets)


def _adopt(source: tuple[str, ...]) -> Any:
    """Make a library's allocator, or a class in Python, the engine's adopted strategy; return a class's callbacks."""
    from memtool.allocators.own.adoption import adopt

    return adopt(source)


def _proof_of_adopted(source: tuple[str, ...] | None) -> dict[str, Any]:
    """Return what shows whose code the adopted strategy is."""
    if source is None:
        return {}
    from memtool.engine.adopted.binding import adopted_owner

    owner = adopted_owner()
    if owner is not None:
        return {"library": owner[0], "library_build_id": owner[1] or None}
    return {"interpreted": True, "python": sys.version.split()[0], "class": ":".join(source[1:])}


def _code(*of_lean_worker: str) -> dict[str, tuple[int, int, int]]:
    """Return which files the code comes from, so that one that is replaced during a run is noticed."""
    from memtool.allocators.own.code_files import code_files

    return code_files(*(os.path.realpath(path) for path in of_lean_worker if path))


def _reserve(size: int, alignment: int, advice: tuple[int, ...]) -> tuple[object, int]:
    """Reserve address space for the region and return (what keeps it mapped, its base)."""
    import ctypes
    import mmap

    from memtool.engine.loading import MAP_NORESERVE

    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    memory = mmap.mmap(-1, size + alignment, flags)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    base = (address + alignment - 1) & -alignment
    for number in advice:
        memory.madvise(number)
    return memory, base


def _map_file(base: int, size: int, descriptor: int, *, shared: bool) -> None:
    """Put a mapping of a file, from its beginning, in the place of the reserved memory."""
    import ctypes
    import mmap

    from memtool.engine.loading import MAP_NORESERVE

    map_fixed = 0x10
    function = ctypes.CDLL(None, use_errno=True).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
    flags = (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE) | map_fixed | MAP_NORESERVE
    if function(base, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, descriptor, 0) != base:
        raise OSError(f"the region's file cannot be mapped: {os.strerror(ctypes.get_errno())}")


def _proof(owner: tuple[str, str] | None, version: tuple[str, str] | None) -> dict[str, Any]:
    """Return what shows which library serves malloc; ``owner`` is its path and its build id."""
    import ctypes

    proof: dict[str, Any] = {
        "malloc_owner": owner[0] if owner else None,
        "malloc_build_id": owner[1] if owner else None,
        "tuning": {name: value for name, value in sorted(os.environ.items()) if _TUNES in name or name in _TUNING},
    }
    if version is not None:
        symbol, kind = version
        proof["version"] = _version(ctypes.CDLL(None), symbol, kind)
    return proof


def _version(library: Any, symbol: str, kind: str) -> str | None:
    import ctypes

    try:
        function = getattr(library, symbol)
    except AttributeError:
        return None
    if kind == "text":
        function.restype = ctypes.c_char_p
        return str(function().decode(errors="replace"))
    if kind == "mallctl":
        text = ctypes.c_char_p()
        size = ctypes.c_size_t(ctypes.sizeof(text))
        if function(b"version", ctypes.byref(text), ctypes.byref(size), None, 0) != 0:
            return None
        return text.value.decode(errors="replace") if text.value else None
    if kind == "tcmalloc":
        function.restype = ctypes.c_char_p
        return str(function(None, None, None).decode(errors="replace"))
    # mimalloc says 2.0.9 as 209 and, since 3.2, 3.4.3 as 30403.
    number = function()
    base = 100 if number >= 10000 else 10
    return ".".join(str(part) for part in (number // base**2, number // base % base, number % base))


def _figures(binding: Any, run_pass: int, result: Any, histograms: Any, buckets: int, series: Any) -> dict[str, Any]:
    if run_pass == binding.CHECK:
        names = ("checks", "surviving_objects", "surviving_size", "surviving_digest", "order_digest")
        return {name: getattr(result, name) for name in names}
    if run_pass == binding.COUNTERS:
        return {"instructions": result.instructions}
    if run_pass == binding.CALLS:
        return {}  # the parent has counted
    if run_pass == binding.FOOTPRINT:
        figures = {
            name: getattr(result, name)
            for name, *_ in binding.ReplayResult._fields_
            if name.endswith(("_bytes", "_faults", "_calls")) and name != "struct_bytes"
        }
        figures["report"] = result.report.decode(errors="replace")
        figures["region"] = {
            name: getattr(result.region, name) for name, *_ in binding.RegionAccount._fields_ if name != "mapping"
        }
        figures["region"]["mapping"] = result.region.mapping.decode(errors="replace")
        figures["body_ticks"] = [result.body_ticks[0]]
        figures["ratio_allocations"] = result.ratio_allocations
        figures["ratio_sum"] = result.ratio_sum
        for row in ("at_peak_live", "drained"):
            figures[row] = {name: _known(getattr(getattr(result, row), name)) for name in binding.SERIES_COLUMNS}
        figures["series"] = {
            name: [_known(getattr(series[row], name)) for row in range(result.rows)] for name in binding.SERIES_COLUMNS
        }
        return figures
    figures = {
        "wait_ticks": [],
        "threads": [],
        "body_ticks": list(result.body_ticks[: result.iterations]),
        "epilogue_ticks": list(result.epilogue_ticks[: result.iterations]),
        "cpu_ns": list(result.cpu_ns[: result.iterations]),
    }
    if run_pass == binding.LATENCY:
        figures["histograms"] = {
            name: _histogram(histograms, buckets, index, result.histogram_maximum[index])
            for index, name in enumerate(binding.HISTOGRAMS)
        }
    return figures


def _at_marks(binding: Any, run_pass: int, result: Any, marks: tuple[str, ...]) -> dict[str, Any]:
    if run_pass != binding.FOOTPRINT:
        return {}
    rows = zip(marks, result.at_mark, strict=False)
    return {
        "at_marks": {mark: {name: _known(getattr(row, name)) for name in binding.SERIES_COLUMNS} for mark, row in rows}
    }


def _histogram(counts: Any, buckets: int, index: int, maximum: int) -> dict[str, Any]:
    first = index * buckets
    # Most lie behind the last that counts anything: each looked at would cost a sample three milliseconds.
    used = (len(memoryview(counts)[first : first + buckets].tobytes().rstrip(b"\0")) + 7) // 8
    pairs = enumerate(counts[first : first + used])
    return {"maximum": maximum, "buckets": [(bucket, count) for bucket, count in pairs if count]}


def _latency_detail(binding: Any, result: Any, sizes: Any, slices: Any, buckets: int, alone: bool) -> dict[str, Any]:
    """Return latencies by size class and by slice of the run, and how an open-loop replay kept up."""
    detail: dict[str, Any] = {"by_size": {}, "slices": {}, "open_loop": None}
    if not alone:
        return detail
    for kind, name in enumerate(("allocate", "deallocate")):
        rows = range(kind * binding.SIZE_CLASSES, (kind + 1) * binding.SIZE_CLASSES)
        detail["by_size"][name] = [_histogram(sizes, buckets, row, result.size_maximum[row]) for row in rows]
        own = slices[kind::2]
        detail["slices"][name] = {
            "maximum": [latency.maximum for latency in own],
            "slow": [[latency.slow[level] for latency in own] for level in range(binding.SLOW)],
        }
    if result.schedule_ticks:
        names = ("schedule_ticks", "latest_ticks", "end_behind_ticks")
        detail["open_loop"] = {name: getattr(result, name) for name in names}
    return detail


def _heap(binding: Any, result: Any, maps: Any, marks: tuple[str, ...]) -> dict[str, Any]:
    names = {binding.AT_PEAK: "peak", binding.AT_END: "end", **dict(enumerate(marks))}
    return {
        "after_drain_resident_bytes": list(result.after_drain_resident),
        "own_after_drain": _own(binding, result.own_after_drain),
        "maps": [
            {
                "moment": names[heap_map.moment],
                "clock": heap_map.clock,
                "live_bytes": heap_map.live_bytes,
                "walked": bool(heap_map.walked),
                "bucket_bytes": heap_map.bucket_bytes,
                "left_out_bytes": heap_map.left_out_bytes,
                "extents": [
                    {"address": extent.address, "bytes": extent.bytes, "first_bucket": extent.first_bucket}
                    for extent in heap_map.extent[: heap_map.extents]
                ],
                "buckets": {
                    name: [getattr(bucket, name) for bucket in heap_map.bucket[: heap_map.buckets]]
                    for name in binding.BUCKET_FIGURES
                },
                "own": _own(binding, heap_map.own),
            }
            for heap_map in maps[: result.maps]
        ],
    }


def _own(binding: Any, figures: Any) -> dict[str, int | None]:
    return {name: _known(getattr(figures, name)) for name in binding.OWN_FIGURES}


def _known(figure: int) -> int | None:
    return None if figure == 2**64 - 1 else figure
