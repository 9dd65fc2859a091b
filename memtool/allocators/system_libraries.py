"""Facts about allocators that are shared libraries: how to preload, prove and tune them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from memtool.allocators.parameters import Parameter
from memtool.units import GIB, KIB, MIB

_LARGEST = 1 << 47


@dataclass(frozen=True, slots=True)
class Tunable:
    """A tuning variable as a parameter: ``jemalloc:dirty_decay_ms=0`` is ``MALLOC_CONF=dirty_decay_ms:0``."""

    parameter: Parameter
    variable: str
    """The environment variable that contains it; one variable may contain several settings."""
    setting: str
    """Text in the variable, with ``{value}``."""
    option: str
    """Text that the library of a build that reads the variable contains, in any case of letters."""


@dataclass(frozen=True, slots=True)
class SystemAllocator:
    """An allocator that serves malloc, as a shared library."""

    name: str
    summary: str
    source: str
    complexity: str
    when: str
    sonames: tuple[str, ...]
    """File names of the library to preload, the best first; empty: it serves malloc without being preloaded."""
    owner: str
    """Part of the file name of the library that must serve malloc in the worker: the proof."""
    version: tuple[str, str] | None
    """(symbol, kind) by which a worker asks for its version (worker/lean.cpp); None: it has no such call."""
    install: str
    """The command that installs it."""
    tunables: tuple[Tunable, ...]
    separator: str = ","
    """Separator of the settings in one variable."""
    options_in: tuple[str, ...] = ()
    """File names of the library that reads the tuning variables, if it is not the preloaded one."""
    distribution: str | None = None
    """The PyPI package that carries the library; None: it is the system's."""


def _glibc(parameter: Parameter) -> Tunable:
    option = f"glibc.malloc.{parameter.name}"
    return Tunable(parameter, "GLIBC_TUNABLES", option + "={value}", option)


def _jemalloc(parameter: Parameter) -> Tunable:
    return Tunable(parameter, "MALLOC_CONF", parameter.name + ":{value}", parameter.name)


def _variable(prefix: str, *, whole: bool = True) -> Callable[[Parameter], Tunable]:
    """Return a setting that is a variable of its own; ``whole``: the library contains its whole name."""

    def tunable(parameter: Parameter) -> Tunable:
        variable = prefix + parameter.name.upper()
        return Tunable(parameter, variable, "{value}", variable if whole else parameter.name)

    return tunable


def _tunables(of: Callable[[Parameter], Tunable], *parameters: Parameter) -> tuple[Tunable, ...]:
    return tuple(map(of, parameters))


_mimalloc = _variable("MIMALLOC_", whole=False)
_tcmalloc = _variable("TCMALLOC_")
_tbbmalloc = _variable("TBB_MALLOC_")


def _size(name: str, summary: str, *, default: str | None = None, minimum: int = 0, maximum: int) -> Parameter:
    return Parameter(name, summary, default, minimum, maximum, "bytes")


def _count(name: str, summary: str, *, default: str | None = None, minimum: int = 0, maximum: int) -> Parameter:
    return Parameter(name, summary, default, minimum, maximum)


def _delay(name: str, summary: str, default: str | None, *, minimum: int = -1) -> Parameter:
    return Parameter(name, summary, default, minimum, 10**6, "ms")


def _word(name: str, summary: str, *choices: str) -> Parameter:
    """Return a choice; the first word is the default."""
    return Parameter(name, summary, choices[0], unit="choice", choices=choices)


_GLIBC = SystemAllocator(
    name="glibc",
    summary="The C library's own: bins over boundary tags, a cache for each thread.",
    source="Lea's dlmalloc, Gloger's ptmalloc2; MallocInternals in the wiki of glibc",
    complexity="small sizes O(1) from the thread's cache, else a search of the bins",
    when="the default of Linux; what every other has to beat",
    sonames=(),
    owner="libc.so",
    version=("gnu_get_libc_version", "text"),
    install="part of the C library",
    tunables=_tunables(
        _glibc,
        _count("arena_max", "most arenas that threads are spread over", minimum=1, maximum=1024),
        _count("tcache_count", "blocks of each size in a thread's cache; 0: none", maximum=65535),
        _size("tcache_max", "largest size in a thread's cache", maximum=1032),
        _size("mxfast", "largest size in fast bins; 0: none", maximum=160),
        _size("mmap_threshold", "size from which a block is a mapping of its own", maximum=32 * MIB),
        _count("mmap_max", "most blocks that are mappings of their own at once; 0: none", maximum=(1 << 31) - 1),
        _size("trim_threshold", "free bytes at the top that are given back; -1: never", minimum=-1, maximum=_LARGEST),
        _size("top_pad", "bytes asked of the system beyond what is needed", maximum=GIB),
        _count("hugetlb", "huge pages: 0 none, 1 transparent, 2 reserved", default="0", maximum=2),
    ),
    separator=":",
    options_in=("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"),
)

_JEMALLOC = SystemAllocator(
    name="jemalloc",
    summary="Size classes in slabs and extents; unused pages decay over time (FreeBSD, Meta).",
    source="Evans, A scalable concurrent malloc(3) implementation for FreeBSD, BSDCan 2006",
    complexity="small sizes O(1) from the thread's cache, else O(log n) in free extents",
    when="many threads and a long life, with control over what is given back",
    sonames=("libjemalloc.so.2",),
    owner="libjemalloc",
    version=("mallctl", "mallctl"),
    install="apt install libjemalloc2",
    tunables=_tunables(
        _jemalloc,
        _delay("dirty_decay_ms", "until dirty pages are given back; -1: never", "10000"),
        _delay("muzzy_decay_ms", "until lazily freed pages are unmapped; -1: never", "0"),
        _count("narenas", "arenas that threads are spread over", minimum=1, maximum=4094),
        _word("tcache", "whether threads have caches", "true", "false"),
        _count("lg_tcache_max", "log2 of the largest size in a cache", default="15", minimum=3, maximum=23),
        _word("background_thread", "whether a thread of its own gives pages back", "false", "true"),
        _word("retain", "whether address space is kept for later", "true", "false"),
        _word("thp", "transparent huge pages", "default", "always", "never"),
        _word("percpu_arena", "arenas by processor", "disabled", "percpu", "phycpu"),
    ),
)

_MIMALLOC = SystemAllocator(
    name="mimalloc",
    summary="Free lists sharded by page (Microsoft), as the distribution packages it.",
    source="Leijen, Zorn and de Moura, Mimalloc: free list sharding in action, APLAS 2019",
    complexity="O(1), a page of free blocks at a time",
    when="many small objects that die young, on few or many threads",
    sonames=("libmimalloc.so.2", "libmimalloc.so.3", "libmimalloc.so"),
    owner="libmimalloc",
    version=("mi_version", "mimalloc"),
    install="apt install libmimalloc2.0",
    tunables=_tunables(
        _mimalloc,
        _count("eager_commit", "whether segments are committed at once", default="1", maximum=1),
        _delay("decommit_delay", "until unused pages are given back (version 2.0)", "25", minimum=0),
        _delay("purge_delay", "until unused pages are given back (since 2.1); -1: never", None),
    ),
)

_MIMALLOC_PYPI = replace(
    _MIMALLOC,
    name="mimalloc-pypi",
    summary="The current mimalloc, from the package cmeel-mimalloc.",
    when="as mimalloc; to see what its later versions changed",
    sonames=("libmimalloc.so",),
    install="pip install 'memtool-bench[mimalloc]'",
    tunables=_tunables(
        _mimalloc,
        _count("arena_eager_commit", "arenas committed at once: 0 no, 1 yes, 2 where free", default="2", maximum=2),
        _delay("purge_delay", "until unused pages are given back; -1: never", "1000"),
        _count("allow_thp", "whether pages may be huge", default="1", maximum=1),
    ),
    distribution="cmeel-mimalloc",
)

_TCMALLOC = SystemAllocator(
    name="tcmalloc",
    summary="Thread caches over central free lists: gperftools' tcmalloc, not Google's newer one.",
    source="Ghemawat and Menage, TCMalloc: thread-caching malloc; gperftools",
    complexity="small sizes O(1) from the thread's cache, else O(log n) in free spans",
    when="many threads and small objects, where memory may be given back slowly",
    sonames=("libtcmalloc_minimal.so.4", "libtcmalloc.so.4"),
    owner="libtcmalloc",
    version=("tc_version", "tcmalloc"),
    install="apt install libtcmalloc-minimal4",
    tunables=_tunables(
        _tcmalloc,
        _size("max_total_thread_cache_bytes", "all threads' caches", default="32MiB", minimum=512 * KIB, maximum=GIB),
        _count("transfer_num_obj", "objects moved between caches at a time", default="32", minimum=1, maximum=65536),
        _count("release_rate", "how eagerly pages are given back; 0: never", default="1", maximum=10),
        _word("aggressive_decommit", "whether every free span is given back", "false", "true"),
    ),
)

_TBBMALLOC = SystemAllocator(
    name="tbbmalloc",
    summary="The scalable allocator of oneTBB (Intel), by its proxy library.",
    source="Kukanov and Voss, The foundations for scalable multi-core software in Intel TBB, 2007",
    complexity="small sizes O(1) from the thread's own slab, else a search of the bins",
    when="programs that are built on oneTBB",
    # libtbbmalloc alone replaces nothing: malloc would remain glibc's.
    sonames=("libtbbmalloc_proxy.so.2",),
    owner="libtbbmalloc_proxy",
    version=None,
    install="apt install libtbbmalloc2",
    tunables=_tunables(
        _tbbmalloc,
        _count("use_huge_pages", "whether memory comes in huge pages", default="0", maximum=1),
        _size(
            "set_huge_size_threshold",
            "size from which a block is given back at once",
            minimum=64 * MIB,
            maximum=_LARGEST,
        ),
    ),
    options_in=("libtbbmalloc.so.2",),
)

SYSTEM_ALLOCATORS: Mapping[str, SystemAllocator] = {
    allocator.name: allocator for allocator in (_GLIBC, _JEMALLOC, _MIMALLOC, _MIMALLOC_PYPI, _TCMALLOC, _TBBMALLOC)
}
