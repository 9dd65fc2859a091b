"""Writes docs/allocators.md from what the engine and the registry say of every allocator.

    python scripts/allocators_page.py [--check]

With --check nothing is written: exit code 1 when the page is not what would be written.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tabulate import tabulate

from memtool.allocators.pairing import COLLECTOR
from memtool.allocators.parameters import Parameter
from memtool.allocators.registry import GROUPS, Known, KnownAdaptor, Registry
from memtool.allocators.system_libraries import SYSTEM_ALLOCATORS
from memtool.units import format_size

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/allocators.md"
_filled = partial(textwrap.fill, width=120, break_long_words=False, break_on_hyphens=False)
PICTURES = "images/heap-maps"
"""Beside the page: a heap map for each strategy that has one, NAME.png."""

# In the order of the page: the family's title, and what its members have in common.
FAMILIES = {
    "system": (
        "System allocators",
        """\
Whatever serves `malloc` in a process: preloaded into the worker, and proven there to have served. They take memory
from the kernel themselves, so they show in resident memory, not in a footprint. Their tuning variables are
parameters; one without a default is left to the allocator. `-a ./libmine.so` adds any other.
`-a 'jemalloc:env.MALLOC_CONF="narenas:1,tcache:false"'` passes a variable as it stands to one of them, and to a
library of your own, in quotes where its value has commas. Workers have a bare environment: variables that are set in
yours reach none of them, and a note names those.""",
    ),
    "standard": (
        "Standard C++",
        "What a program does that says nothing, over any `malloc` of this machine: `new-delete:malloc=jemalloc`.",
    ),
    "pool": (
        "Pools",
        """\
Blocks of one size, or of one size a class: what is freed fits what is asked for next, so nothing is searched, split
or merged. What a pool cannot do is to give the memory of one size to another.""",
    ),
    "arena": (
        "Arenas",
        """\
The order in which lifetimes end is known, so that little or nothing has to be remembered of a block. What each takes
back, and when, is its whole difference; a workload that frees in another order is left out, and the report says which
operation was the first to do so.""",
    ),
    "free-list": (
        "Free lists",
        """\
Any size, any order: free blocks are searched for one that fits, cut to the request, and merged with their free
neighbours. `free-list` does so as a textbook describes it, every choice a parameter and every search a walk;
`first-fit`, `next-fit`, `best-fit` and `worst-fit` take the very same blocks by an index. These merge at once: with
boundary tags that takes constant time, and to defer it would only put more blocks into the index.""",
    ),
    "real-time": (
        "Real-time",
        "Free blocks in segregated lists that bitmaps index, so that the worst case is bounded and known.",
    ),
    "buddy": ("Buddies", "Blocks of 2^k units that split into halves and merge with their other half alone."),
    "pmr": (
        "std::pmr",
        """\
The memory resources of the C++ library, over an upstream of your choice. Each call is virtual, as in a program.""",
    ),
    "mapping": ("Mappings", "Memory straight from the kernel, without an allocator between."),
    "persistent": (
        "Persistent heaps",
        """\
Heaps that lie whole in their region, with offsets in place of pointers: on a region that is a file (`--region
file-shared`) or shared memory (`shared-memory`) other processes use them too, afterwards or at once.""",
    ),
    "thread": ("Threads", "For several threads at once."),
    COLLECTOR: (
        "Garbage collectors",
        """\
Nobody frees: what no root leads to is found and reclaimed. They serve workloads that say what objects refer to
([collection.md](collection.md)) and are left out of all others. `mark-sweep:heap=2x|3x|5x` sweeps the heap as a
multiple of what is reachable at most; `heap=64MiB` is one in bytes.""",
    ),
    "control": ("Controls", "Not allocators: what the others are compared with."),
}

ADAPTORS = """\
## Adaptors

Over any strategy, and over the system's allocators: `pool:block=64+redzone:bytes=32+lock` is the pool, red zones
round its blocks, and a lock round both. Any order, any depth; values sweep as ever (`+redzone:bytes=16|32`), and
`@pools+lock` puts the lock over each. Every adaptor reaches what is below it by one indirect call: `+virtual` shows
what that call costs by itself. What each adds to a block counts as metadata. A pairing that cannot work is left out
of a run, with the reason.
"""

THREADS = {
    "none": "one at a time; put `+lock` over it",
    "as below": "as the allocator below it",
    "any": "any number, whatever is below it",
}

FREES = {
    "any": "in any order",
    "lifo": "only the youngest block",
    "fifo": "only the oldest block",
    "reset": "nothing by itself; memory comes back at the end of a scope, or never",
    "none": "nothing is freed: what nothing leads to is reclaimed",
}

HEAD = """\
# Allocators

<!-- Written by `make docs` (scripts/allocators_page.py) from what the allocators say of themselves. -->

Every allocator that `-a` can name, family by family: what it is, what each operation costs, when to use it, what it
takes and what it can serve. `memtool list allocators` shows the same for this machine. A parameter is written
`pool:block=64`, a sweep over values `pool:block=32|64`. Costs are in n free blocks unless they say otherwise.
"""


def page() -> str:
    """Return the page: an overview, then a section for each family and in it one for each allocator."""
    known = Registry().known()
    unknown = {allocator.family for allocator in known} - set(FAMILIES)
    if unknown:
        raise SystemExit(f"{__file__}: families without a place on the page: {', '.join(sorted(unknown))}")
    families = {
        family: members
        for family in FAMILIES
        if (members := [allocator for allocator in known if allocator.family == family])
    }
    parts = [HEAD, _overview(families)]
    for family, members in families.items():
        title, words = FAMILIES[family]
        group = f" `@{_groups()[family]}`" if family in _groups() else ""
        parts.append(f"## {title}{group}\n\n{words}\n")
        parts += [_section(allocator) for allocator in members]
    parts.append(ADAPTORS)
    parts += [_adaptor(allocator) for allocator in Registry().known_adaptors()]
    return "\n".join(parts)


def _groups() -> dict[str, str]:
    return {family: group for group, family in GROUPS.items()}


def _overview(families: dict[str, list[Known]]) -> str:
    rows = [
        (FAMILIES[family][0] if at == 0 else "", f"[`{allocator.name}`](#{allocator.name})", allocator.when)
        for family, members in families.items()
        for at, allocator in enumerate(members)
    ]
    return _table(("family", "allocator", "when to use it"), rows)


def _section(allocator: Known) -> str:
    facts = [("Cost", allocator.complexity), ("Use it for", allocator.when)]
    if allocator.family != "control":
        facts += _served(allocator)
    facts.append(("Source", allocator.source))
    if allocator.name in SYSTEM_ALLOCATORS:
        install = SYSTEM_ALLOCATORS[allocator.name].install
        facts.append(("Get it", f"`{install}`" if SYSTEM_ALLOCATORS[allocator.name].sonames else install))
    parts = _described(allocator.name, allocator, facts)
    picture = f"{PICTURES}/{allocator.name}.png"
    if (PAGE.parent / picture).exists():
        parts.append(f"![Heap map of {allocator.name}]({picture})\n")
    return "\n".join(parts)


def _escaped(words: str) -> str:
    """Return words in which Markdown sees no markup: ``std::allocator<std::byte>`` would be a link."""
    return words.replace("<", "\\<").replace("[]", "\\[\\]")


def _described(name: str, known: Known | KnownAdaptor, facts: Iterable[tuple[str, str]]) -> list[str]:
    """Return the heading of a section with its summary, the facts as a list, and the parameters."""
    items = (_filled(f"- {label}: {text}", subsequent_indent="  ") for label, text in facts)
    parts = [f"### {name}\n\n{_filled(_escaped(known.summary))}\n", "".join(f"{item}\n" for item in items)]
    return [*parts, _parameters(known.parameters)] if known.parameters else parts


def _adaptor(adaptor: KnownAdaptor) -> str:
    facts = (
        ("Adds", adaptor.complexity),
        ("Use it for", adaptor.when),
        ("Threads", THREADS[adaptor.threads]),
        ("Source", adaptor.source),
    )
    return "\n".join(_described(f"+{adaptor.name}", adaptor, facts))


def _served(allocator: Known) -> Iterator[tuple[str, str]]:
    """Yield what an allocator can serve, in words."""
    able = allocator.capabilities
    yield "Frees", FREES[able.free_order]
    if allocator.family == COLLECTOR:
        yield "Threads", "one"
        return
    yield "Resizes", "itself, in place where it can" if able.reallocates else "no: allocate, copy, free"
    yield "Threads", "any number" if able.thread_safe else "one at a time; `+lock` makes it any number"
    if able.scoped:
        yield "Scopes", "gives back all of a scope at once"
    most = [f"requests of up to {format_size(able.largest_size)}"] if able.largest_size is not None else []
    if able.largest_alignment is not None:
        most.append(f"alignments of up to {format_size(able.largest_alignment)}")
    if most:
        yield "Serves", ", ".join(most) + (", with its default parameters" if allocator.parameters else "")


def _parameters(parameters: Sequence[Parameter]) -> str:
    rows = [
        (f"`{parameter.name}`", parameter.default or "its own", parameter.range, parameter.summary)
        for parameter in parameters
    ]
    return _table(("parameter", "default", "range", "what it is"), rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escaped = [[text.replace("|", "\\|") for text in row] for row in rows]
    return tabulate(escaped, headers=headings, tablefmt="github", disable_numparse=True) + "\n"


def main() -> None:
    written = page()
    if sys.argv[1:] == ["--check"]:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        sys.exit(0 if current == written else "docs/allocators.md is not what the allocators say: run `make docs`")
    PAGE.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
