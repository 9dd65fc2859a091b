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
    from memtool.engine.loading import WRONG
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
    run_pass, figures_bytes, content, length = request["figures"]
    figures = mmap.mmap(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
    figures.write(content)
    result = binding.ReplayResult(struct_bytes=ctypes.sizeof(binding.ReplayResult))
    call = binding.ReplayRequest(
        struct_bytes=ctypes.sizeof(binding.ReplayRequest),
        run_pass=run_pass.encode(),
        strategy=request["strategy"].encode(),
        parameters=request["parameters"].encode(),
        image=ctypes.addressof(image_view),
        image_bytes=image_bytes,
        region=base,
        region_bytes=region_bytes,
        region_flags=flags,
        populate_bytes=populate_bytes,
        warmups=request["warmups"],
        iterations=request["iterations"],
        use_counter=request["use_counter"],
        ticks_per_ns=1 / request["ns_per_tick"],
        figures=ctypes.addressof(ctypes.c_char.from_buffer(figures)),
        figures_bytes=figures_bytes,
    )
    if request["threads"] is not None:
        call.mode, lanes, call.processors, descriptor = request["threads"]
        places = mmap.mmap(descriptor, lanes * ctypes.sizeof(binding.ThreadPlace))
        call.places = ctypes.addressof(ctypes.c_char.from_buffer(places))
    before = noise.read()
    library.memtool_replay(ctypes.byref(call), ctypes.byref(result))
    after = noise.read()

    proof = _proof(symbol_owner("malloc"), request["version"]) | _proof_of_adopted(request["adopted"])
    answer = _answer(result, {**proof, "code": _code()}, before, after, figures)
    # Threads without a processor each take it from one another.
    shares = request["threads"] is not None and request["threads"][2] == 0
    answer["noise"]["own_switches"] = answer["noise"]["involuntary_switches"] if shares else result.own_switches
    if callbacks is not None and callbacks.failure is not None:
        answer.update(status=WRONG, message=callbacks.failure)
    del memory
    return answer


def _answer(
    result: Any, proof: dict[str, Any], before: dict[str, int], after: dict[str, int], figures: Any
) -> dict[str, Any]:
    """Return what the parent is told: the figures as they lie in memory, which it knows how to read."""
    from memtool.engine.loading import DONE

    return {
        "status": result.status,
        "message": result.message.decode(errors="replace"),
        "failed_operation": result.failed_operation,
        "proof": proof,
        "noise": {name: after[name] - before[name] for name in after},
        "figures": bytes(figures) if result.status == DONE else b"",
    }


def _replay_in_lean_worker(request: dict[str, Any]) -> dict[str, Any]:
    """Replay in a process that did nothing before (lean.cpp), so that the malloc under test holds nothing of ours."""
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
    proof["code"] = _code(request["library"], os.fsdecode(head.adopted_owner))
    return _answer(head.result, proof, before, after, job.figures)


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
