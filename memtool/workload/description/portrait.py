"""Describes in words the kind of program that a trace is from, and the families of strategies that could suit it.

Each rule below compares one figure with one threshold, and its sentence states the figure. A sentence names strategies
that could be used, never the best one: only a measurement can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from memtool.model import TraceInfo
from memtool.units import format_count, format_mean_size, format_size, plural
from memtool.workload.description.characterise import Characteristics

SMALL_LEVEL = 8
"""Sizes below 2^8 bytes are small."""
MOST = 0.9
HALF = 0.5
FEW_SIZES = 8
SHORT_LEVEL = 6
"""Lifetimes below 2^6 allocations are short."""
MANY_TEMPORARY = 0.25
MANY_RESIZED = 0.1
MANY_REMOTE = 0.2
FEW_REMOTE = 0.05
MANY_LEFT = 0.3


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the description, with the figure that supports it."""

    says: str
    figure: str
    """Name of the characteristic in the JSON of an inspection."""
    allocators: tuple[str, ...] = ()
    """Allocators that the sentence names, in the form that `memtool bench -a` takes."""


def portrait(info: TraceInfo, of: Characteristics) -> list[Sentence]:
    """Return the description of a trace: first the kind of program, then the strategies that it could use."""
    return [*_kind(info, of), *_strategies(info, of)]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _percent(share: float) -> str:
    return f"{share:.0%}" if 0.005 <= share < 0.995 or share in (0, 1) else f"{share:.2%}"


def _kind(info: TraceInfo, of: Characteristics) -> Iterator[Sentence]:
    small = _share(of.empty + sum(count for level, count in of.sizes.items() if level < SMALL_LEVEL), of.allocations)
    share_in_words = "Nearly all small" if small >= MOST else "Mostly small" if small >= HALF else "Not mostly small"
    share = f"{_percent(small)} of its allocations ask for less than {format_size(1 << SMALL_LEVEL)}"
    yield Sentence(f"{share_in_words} objects: {share}.", "sizes")
    covered, few = _coverage(of)
    if covered:
        says = f"Few sizes: {_cover(covered)} {_percent(few)} of allocations."
        yield Sentence(says, "common_sizes")
    freed = of.allocations - of.never_freed
    short = _share(sum(count for level, count in of.lifetimes.items() if level < SHORT_LEVEL), freed)
    if freed:
        die = "Most objects die young" if short >= HALF else "Few objects die young"
        within = f"{_percent(short)} of those that are freed live for less than {1 << SHORT_LEVEL} allocations"
        yield Sentence(f"{die}: {within}.", "lifetimes")
    left = _share(of.never_freed, of.allocations)
    if left >= MANY_LEFT:
        yield Sentence(f"It keeps what it allocates: {_percent(left)} of its objects are never freed.", "never_freed")
    live = _share(of.mean_live_bytes, of.peak_live_bytes)
    if of.peak_live_bytes:
        steady = "Its heap is steady" if live >= HALF else "Its heap swells and empties"
        mean = f"{format_mean_size(of.mean_live_bytes)}, {_percent(live)} of the peak of"
        yield Sentence(f"{steady}: mean live bytes are {mean} {format_size(of.peak_live_bytes)}.", "mean_live_bytes")
    resized = _share(sum(of.resize_chains.values()), of.allocations)
    if resized >= MANY_RESIZED:
        grown = _share(of.grown, of.reallocations)
        says = f"It resizes: {_percent(resized)} of its objects, and {_percent(grown)} of its resizes grow them."
        yield Sentence(says, "resize_chains")
    if of.threads > 1:
        remote = _share(of.remote_frees, freed)
        says = f"It runs {format_count(of.threads)} threads; {_percent(remote)} of frees are of what another allocated."
        yield Sentence(says, "remote_frees")


def _cover(sizes: int) -> str:
    return "one size covers" if sizes == 1 else f"{sizes} sizes cover"


def _coverage(of: Characteristics) -> tuple[int, float]:
    """Return how many of the most common sizes cover most allocations, and their share; 0 if it takes too many."""
    covered = 0
    for number, (_, count) in enumerate(of.common_sizes[:FEW_SIZES], 1):
        covered += count
        if covered >= MOST * of.allocations:
            return number, _share(covered, of.allocations)
    return 0, 0.0


def _strategies(info: TraceInfo, of: Characteristics) -> Iterator[Sentence]:
    freed = of.allocations - of.never_freed
    sentences = [*_by_order(info, of, freed), *_by_size(of), *_by_thread(of, freed)]
    yield from sentences
    if not any(sentence.allocators for sentence in sentences):
        yield Sentence(
            f"It could use what serves any size in any order: its {format_count(of.allocations)} allocations of "
            f"{format_size(of.smallest_size)} to {format_size(of.largest_size)} fit none of the special cases.",
            "sizes",
            ("tlsf", "segregated-fit", "best-fit"),
        )


def _by_order(info: TraceInfo, of: Characteristics, freed: int) -> Iterator[Sentence]:
    if info.first_not_lifo is None:
        says = "It could use a stack: every object is freed before any that is older than it."
        yield Sentence(says, "first_not_lifo", ("stack",))
    elif info.first_not_fifo is None:
        says = "It could use a ring: objects are freed in the order of their birth."
        yield Sentence(says, "first_not_fifo", ("ring",))
    left = _share(of.never_freed, of.allocations)
    if left >= MOST:
        says = f"It could do without frees (bump, arena): {_percent(left)} of its objects are never freed."
        yield Sentence(says, "never_freed", ("bump", "arena"))
    bulk = _share(of.bulk_frees, freed)
    if info.scopes or bulk >= HALF:
        scopes = f"it has {plural(info.scopes, 'scope')} that end all at once"
        runs = f"{_percent(bulk)} of its frees come 64 or more in a row"
        says = f"It could use arenas that are given back as a whole: {scopes if info.scopes else runs}."
        yield Sentence(says, "scopes" if info.scopes else "bulk_frees", ("arena", "frame-arena"))
    temporary = _share(of.temporary, of.allocations)
    if temporary >= MANY_TEMPORARY:
        says = (
            f"It could keep {_percent(temporary)} of its objects on the stack or reuse one buffer: its threads free "
            "them before they ask for anything else. A cache of the last freed blocks helps too."
        )
        yield Sentence(says, "temporary", ("thread-cache",))


def _by_size(of: Characteristics) -> Iterator[Sentence]:
    covered, few = _coverage(of)
    small = _share(of.empty + sum(count for level, count in of.sizes.items() if level < SMALL_LEVEL), of.allocations)
    if covered:
        is_single = covered == 1
        sizes = f"{_cover(covered)} {_percent(few)} of allocations"
        says = f"It could use {'a pool' if is_single else 'pools'}: {sizes}."
        yield Sentence(says, "common_sizes", ("pool",) if is_single and few == 1 else ("segregated-pool", "slab"))
    elif small >= HALF:
        says = f"It could use size classes: {_percent(small)} of allocations are small, of many different sizes."
        yield Sentence(says, "sizes", ("slab", "segregated-fit", "tlsf"))


def _by_thread(of: Characteristics, freed: int) -> Iterator[Sentence]:
    remote = _share(of.remote_frees, freed)
    if of.threads > 1 and remote <= FEW_REMOTE:
        says = f"It could use a heap or cache for each thread: {_percent(remote)} of frees cross threads."
        yield Sentence(says, "remote_frees", ("thread-heaps", "thread-cache"))
    elif of.threads > 1 and remote >= MANY_REMOTE:
        says = f"It needs frees from other threads to be cheap: {_percent(remote)} of frees cross threads."
        yield Sentence(says, "remote_frees", ("thread-cache", "mimalloc"))
