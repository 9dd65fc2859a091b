"""A library that the user brings, ``-a ./libmine.so``: a malloc replacement, or one with the interface of memtool.h."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path

from memtool.allocators.own.adoption import LIBRARY
from memtool.allocators.own.brought import adopted_plan, has_interface, resolved
from memtool.allocators.own.trial import Trial, try_apart
from memtool.allocators.system import why_not_preloadable
from memtool.errors import AllocatorError
from memtool.model import AllocatorPlan, AllocatorSpec, Call

NEEDED = ("malloc", "free", "calloc", "realloc", "aligned_alloc", "malloc_usable_size")
"""The functions that a replay calls. If a library lacks one, it would receive blocks of the C library."""
_PROBE_SECONDS = 30


def library_plan(spec: AllocatorSpec) -> AllocatorPlan:
    """Return the plan of a library. Raises InputError that names what a file lacks to be an allocator."""
    path = resolved(spec.name)
    if not path.is_file():
        raise AllocatorError(f"{spec.name}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    if has_interface(path):
        return adopted_plan(spec, (LIBRARY, str(path)))
    if spec.parameters:
        raise AllocatorError(
            f"{spec.label}: a malloc replacement takes no parameters except env.NAME=value; a library by memtool.h can"
        )
    reason = why_not_preloadable(path) or _why_no_replacement(path)
    if reason is not None:
        raise AllocatorError(f"{spec.name}: {reason}")
    return AllocatorPlan(
        spec=spec,
        strategy="malloc",
        engine_parameters="",
        preload=(str(path),),
        expected_owner=path.name,
        family="library",
        exact=False,
        uses_region=False,
        thread_safe=True,
        call=Call("linker", "bare", "any"),
        frees_bare=True,
    )


@cache
def _why_no_replacement(library: Path) -> str | None:
    """Return why a library does not serve malloc in a process that preloads it; None where it does.

    This is determined in separate processes: a library runs code while it is loaded, some cannot be loaded after the
    start (static thread-local storage), and only the dynamic linker knows which definition of a symbol is used.
    """
    try:
        preloaded = _probe("", LD_PRELOAD=str(library))
        if preloaded.status != 0 or not preloaded.answer:
            # A mixture of two allocators can crash in any way, so the error names the functions that the library lacks.
            return _why_incomplete(_probe(str(library)), library) or f"a process that preloads it {preloaded.ending}"
    except TimeoutError:
        return f"a process that preloads it does not answer within {_PROBE_SECONDS} s"
    refused = [line for line in preloaded.complaint.splitlines() if line.startswith("ERROR: ld.so:")]
    if refused:
        return "cannot be preloaded" + refused[0].rpartition("cannot be preloaded")[2].removesuffix(": ignored.")
    return _why_incomplete(preloaded, library)


def _probe(opened: str, **environment: str) -> Trial:
    script = str(files("memtool.allocators.own").joinpath("library_probe.py"))
    return try_apart(
        [sys.executable, "-I", "-S", script, opened, *NEEDED],
        environment={"PATH": os.defpath, "LC_ALL": "C", **environment},
        seconds=_PROBE_SECONDS,
    )


def _why_incomplete(ended: Trial, library: Path) -> str | None:
    """Return which of the needed symbols another library defines, from a probe; None: it found none or died."""
    if ended.status != 0 or not ended.answer:
        return None
    owners: list[str] = json.loads(ended.answer)
    foreign = [symbol for symbol, owner in zip(NEEDED, owners, strict=True) if Path(owner).resolve() != library]
    if len(foreign) == len(NEEDED):
        return f"defines neither memtool_get_allocator (memtool.h) nor what replaces malloc: {', '.join(NEEDED)}"
    return f"does not define {', '.join(foreign)}" if foreign else None
