"""The allocators of the machine: found where they are installed, each preloaded into its own workers."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_LIBRARY_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/local/lib",
    "/usr/lib64",
    "/usr/lib",
)


@dataclass(frozen=True, slots=True)
class Tunable:
    """A tuning variable of an allocator, as a parameter: ``jemalloc:dirty_decay_ms=0``."""

    name: str
    summary: str
    minimum: int
    maximum: int
    written: str
    """How it stands in the environment, with {value}."""


@dataclass(frozen=True, slots=True)
class SystemAllocator:
    """An allocator that serves malloc."""

    name: str
    summary: str
    sonames: tuple[str, ...]
    """File names of its library, the first that is found counts; none: it is always there."""
    owner: str
    """Part of the file name of what must own malloc in the worker."""
    version: tuple[str, str] | None
    """(symbol, kind), see worker/child.py."""
    install: str
    variable: str = ""
    separator: str = ","
    tunables: tuple[Tunable, ...] = ()
    distribution: str | None = None
    """The PyPI package that carries the library."""
    environment: tuple[tuple[str, str], ...] = field(default=())


def _glibc(name: str, summary: str, maximum: int, minimum: int = 0) -> Tunable:
    return Tunable(name, summary, minimum, maximum, f"glibc.malloc.{name}={{value}}")


SYSTEM_ALLOCATORS: Mapping[str, SystemAllocator] = {
    each.name: each
    for each in (
        SystemAllocator(
            "glibc",
            "the C library's own: bins over boundary tags, a cache a thread",
            (),
            "libc.so",
            ("gnu_get_libc_version", "text"),
            "part of the C library",
            variable="GLIBC_TUNABLES",
            separator=":",
            tunables=(
                _glibc("arena_max", "most arenas", 1024, 1),
                _glibc("tcache_count", "blocks of each size in a thread's cache", 127),
                _glibc("mmap_threshold", "bytes from which a request is mapped by itself", 1 << 40),
                _glibc("trim_threshold", "bytes free at the top from which they are given back", 1 << 40),
                _glibc("top_pad", "bytes asked for beyond what is needed", 1 << 40),
            ),
        ),
        SystemAllocator(
            "jemalloc",
            "size classes in extents, decaying dirty pages (FreeBSD, Facebook)",
            ("libjemalloc.so.2",),
            "libjemalloc",
            ("mallctl", "mallctl"),
            "apt install libjemalloc2",
            variable="MALLOC_CONF",
            tunables=(
                Tunable("dirty_decay_ms", "time until dirty pages are given back", 0, 10**9, "dirty_decay_ms:{value}"),
                Tunable("muzzy_decay_ms", "time until muzzy pages are given back", 0, 10**9, "muzzy_decay_ms:{value}"),
                Tunable("narenas", "number of arenas", 1, 4096, "narenas:{value}"),
                Tunable("lg_tcache_max", "log2 of the largest size in a thread's cache", 3, 40, "lg_tcache_max:{value}"),
            ),
        ),
        SystemAllocator(
            "mimalloc",
            "free lists sharded by page (Microsoft), as the distribution packages it",
            ("libmimalloc.so.2", "libmimalloc.so.2.0", "libmimalloc.so"),
            "libmimalloc",
            ("mi_version", "mimalloc"),
            "apt install libmimalloc2.0",
            separator="\n",
            tunables=(
                Tunable("purge_delay", "ms until unused pages are given back", 0, 10**9, "MIMALLOC_PURGE_DELAY={value}"),
                Tunable("eager_commit", "whether segments are committed at once", 0, 1, "MIMALLOC_EAGER_COMMIT={value}"),
            ),
        ),
        SystemAllocator(
            "mimalloc-pypi",
            "the current mimalloc, from the package cmeel-mimalloc",
            ("libmimalloc.so",),
            "libmimalloc",
            ("mi_version", "mimalloc"),
            "pip install 'memtool[mimalloc]'",
            separator="\n",
            tunables=(
                Tunable("purge_delay", "ms until unused pages are given back", 0, 10**9, "MIMALLOC_PURGE_DELAY={value}"),
            ),
            distribution="cmeel-mimalloc",
        ),
        SystemAllocator(
            "tcmalloc",
            "thread caches over central lists: gperftools' tcmalloc, not Google's newer one",
            ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4", "libtcmalloc_minimal.so"),
            "libtcmalloc",
            ("tc_version", "tcmalloc"),
            "apt install libtcmalloc-minimal4",
        ),
        SystemAllocator(
            "tbbmalloc",
            "Intel's scalable allocator, through its proxy library",
            ("libtbbmalloc_proxy.so.2",),
            "libtbbmalloc_proxy",
            ("TBB_runtime_version", "text"),
            "apt install libtbbmalloc2",
        ),
    )
}


@cache
def library_of(name: str) -> Path | None:
    """Return the library of a system allocator; None when it is not installed (or is the C library itself)."""
    allocator = SYSTEM_ALLOCATORS[name]
    if allocator.distribution is not None:
        return _packaged(allocator)
    for soname in allocator.sonames:
        for folder in _LIBRARY_FOLDERS:
            path = Path(folder) / soname
            if path.exists():
                return path
        found = ctypes.util.find_library(soname.removeprefix("lib").split(".so")[0])
        if found is not None and found in allocator.sonames:
            return Path(found)
    return None


def _packaged(allocator: SystemAllocator) -> Path | None:
    assert allocator.distribution is not None
    try:
        contents = importlib.metadata.files(allocator.distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for soname in allocator.sonames:
        found = [Path(str(each.locate())) for each in contents if each.name == soname]
        if found:
            return found[0].resolve()
    return None


def why_missing(name: str) -> str | None:
    """Return that an allocator is not installed, and how to get it; None when it is there."""
    allocator = SYSTEM_ALLOCATORS[name]
    if not allocator.sonames or library_of(name) is not None:
        return None
    return f"not installed; get it with: {allocator.install}"
