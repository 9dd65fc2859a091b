"""The worker process of an allocator in Python: it replays one pass of one cell, answers on a pipe, and ends.

It is run by file path under ``python -I -S`` and imports little more than ctypes: everything imported here is in every
measured process, and adds to its start.
"""

from __future__ import annotations

import os
import sys
from marshal import dumps, loads

# Not from typing, whose import would cost every worker a millisecond. Type checkers treat the name as true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def main() -> None:
    """Read the request, replay, and answer. Ends with os._exit, because the interpreter's cleanup is not needed."""
    request = loads(sys.stdin.buffer.read())
    import ctypes

    # Before anything that may take long: a worker must not outlive its parent, which would have killed it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != request["parent"]:
        os._exit(1)
    answer = dumps(_replay(request))
    answer = request["token"] + len(answer).to_bytes(8, "little") + answer + request["token"]
    while answer:
        answer = answer[os.write(request["result"], answer) :]
    os._exit(0)


def _replay(request: dict[str, Any]) -> dict[str, Any]:
    import ctypes
    import mmap

    from memtool.allocators.own.adoption import adopt_class
    from memtool.engine.loading import DONE, WRONG
    from memtool.engine.replay import binding
    from memtool.host import noise

    run = binding.kernel(request["library"], request["kernel"])
    sys.path += [folder for folder in request["path"] if folder not in sys.path]
    callbacks = adopt_class(request["adopted"])
    descriptor, image_bytes = request["image"]
    image = mmap.mmap(descriptor, image_bytes, mmap.MAP_SHARED | (0 if request["image_window"] else mmap.MAP_POPULATE))
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
        kind=request["kind"].encode(),
        way=request["way"].encode(),
        run_pass=run_pass.encode(),
        strategy=request["strategy"].encode(),
        parameters=request["parameters"].encode(),
        image=ctypes.addressof(image_view),
        image_bytes=image_bytes,
        image_window=request["image_window"],
        region=base,
        region_bytes=region_bytes,
        region_flags=flags,
        populate_bytes=populate_bytes,
        warmups=request["warmups"],
        iterations=request["iterations"],
        use_counter=request["use_counter"],
        is_paced=request["is_paced"],
        ticks_per_ns=1 / request["ns_per_tick"],
        figures=ctypes.addressof(ctypes.c_char.from_buffer(figures)),
        figures_bytes=figures_bytes,
    )
    if request["threads"] is not None:
        call.mode, lanes, call.processors, descriptor = request["threads"]
        places = mmap.mmap(descriptor, lanes * ctypes.sizeof(binding.ThreadPlace))
        call.places = ctypes.addressof(ctypes.c_char.from_buffer(places))
    before = noise.read()
    run(ctypes.byref(call), ctypes.byref(result))
    after = noise.read()

    # Threads without their own processor take it from each other.
    shares = request["threads"] is not None and request["threads"][2] == 0
    noises = {name: after[name] - before[name] for name in after}
    noises["own_switches"] = noises["involuntary_switches"] if shares else result.own_switches
    failure = callbacks.failure
    answer = {
        "status": result.status if failure is None else WRONG,
        "message": result.message.decode(errors="replace") if failure is None else failure,
        "proof": _proof(request["adopted"]),
        "noise": noises,
        "figures": bytes(figures) if result.status == DONE else b"",  # in raw form: the parent reads them
    }
    del memory
    return answer


def _reserve(size: int, alignment: int, advice: tuple[int, ...]) -> tuple[object, int]:
    """Reserve address space for the region and return (the object that keeps it mapped, its base)."""
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
    """Map a file, from its beginning, over the reserved memory."""
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


def _proof(source: tuple[str, ...]) -> dict[str, Any]:
    """Return the proof of the library that serves malloc, and of the code of the class."""
    from memtool.allocators.own.code_files import code_files
    from memtool.engine.instruments.binding import symbol_owner
    from memtool.worker.protocol import tuning

    owner = symbol_owner("malloc")
    return {
        "malloc_owner": owner[0] if owner else None,
        "malloc_build_id": owner[1] if owner else None,
        "tuning": tuning(os.environ),
        "interpreted": True,
        "python": sys.version.split()[0],
        "class": ":".join(source[1:]),
        "code": code_files(),
    }
