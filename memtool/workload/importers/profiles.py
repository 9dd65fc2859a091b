"""Heap profiles: the live objects of each size and, at best, the number allocated. They do not contain a trace.

A profile becomes a workload with a ``profile`` (docs/traces.md lists what it cannot tell).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import expm1
from pathlib import Path
from typing import Any

from memtool.errors import InputError
from memtool.units import plural
from memtool.workload.importers.content import Portions, lines_of, opened
from memtool.workload.importers.decoder import Report
from memtool.workload.importers.importer import Importer, name_of
from memtool.workload.language.schema import MOST_ROWS, Workload
from memtool.workload.language.values import LARGEST_SIZE, MOST_LIVE
from memtool.workload.sources.source import Source

LARGEST_DOCUMENT = 64 << 20
_MOST_COUNT = 10**15
_MOST_ALLOCATIONS = 2_000_000
_LEAST_ALLOCATIONS = 1000
_TURNOVERS = 10
"""Allocations of a workload for each live object, where the profile does not record their number."""
_ROW = rb"\s*(\d{1,19}):\s*(\d{1,19})\s*\[\s*(\d{1,19}):\s*(\d{1,19})\]"
_GPERFTOOLS_HEAD = re.compile(rb"heap profile:" + _ROW + rb"\s*@\s*(\w+)(?:/(\d{1,15}))?\s*")
_JEMALLOC_HEAD = re.compile(rb"heap_v2/(\d{1,15})\s*")
_SITE, _ALL_THREADS, _A_THREAD = re.compile(_ROW + rb"\s*@.*"), re.compile(rb"\s*t\*:" + _ROW), re.compile(rb"\s*t\d+:")


@dataclass(slots=True)
class Profile:
    """Counts for each size."""

    sizes: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    """Size in bytes -> [allocations so far, live objects]."""
    notes: list[str] = field(default_factory=list)

    def add(self, size: float, allocated: float, live: float) -> bool:
        """Count objects of a size; return false for impossible numbers or sizes."""
        if not (0 < size <= LARGEST_SIZE and 0 <= allocated <= _MOST_COUNT and 0 <= live <= _MOST_COUNT):
            return allocated == live == 0
        row = self.sizes[max(round(size), 1)]
        row[0] += allocated
        row[1] += live
        return True


@dataclass(frozen=True, slots=True)
class Profiled:
    """A workload made from a profile, in the form of a file."""

    definition: dict[str, Any]
    notes: tuple[str, ...]
    live_objects: int
    live_bytes: int
    report: Report


Reader = Callable[[Portions, Report], Profile]


def workload_of(read: Reader, portions: Portions, name: str, path: str) -> Profiled:
    """Return the workload for a profile. Raises InputError for a profile without live objects."""
    report = Report()
    try:
        profile = read(portions, report)
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from None
    report.damage, report.read_bytes = portions.damage, portions.read_bytes
    rows = _rows(profile)
    live, heap = sum(row[2] for row in rows), sum(size * count for size, _, count in rows)
    if not live:
        raise InputError(f"{path}: holds no live object that can be read")
    allocated = sum(row[1] for row in rows)
    if not allocated:
        rows = [(size, count, count) for size, _, count in rows]
        profile.notes.append(
            "how often each size is allocated is not in it: all are taken to live equally long (jemalloc says it with "
            "prof_accum:true)"
        )
    heap = min(heap, heap * MOST_LIVE / 2 / live)
    allocations = min(max(round(allocated or _TURNOVERS * live), _LEAST_ALLOCATIONS), _MOST_ALLOCATIONS)
    largest = {"largest": rows[-1][0]} if rows[-1][0] > heap else {}
    written = {"heap": max(round(heap), 1), **largest, "rows": [_written(*row) for row in rows]}
    definition = {"name": name, "allocations": allocations, "profile": written}
    notes = (*profile.notes, *_damage(report), _UNKNOWN)
    return Profiled(definition, notes, round(live), round(sum(size * count for size, _, count in rows)), report)


_UNKNOWN = (
    "a profile knows neither order nor threads, nor resizes and alignments, and of lifetimes the means only: "
    "they are drawn as exponential ones, live objects / allocations long (Little's law)"
)


def _damage(report: Report) -> Iterator[str]:
    if report.dropped:
        yield f"{plural(report.dropped, 'line')} dropped that could not be read"
    yield from report.places()


def _rows(profile: Profile) -> list[tuple[int, float, float]]:
    """Return (size, allocations, live objects) in order of size; if there are too many sizes, they are rounded down."""
    for bits in (64, 8, 7, 6, 5, 4):
        rows: defaultdict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for size, (allocated, live) in profile.sizes.items():
            unit = max(size.bit_length() - bits, 0)
            row = rows[size >> unit << unit]
            row[0] += allocated
            row[1] += live
        if len(rows) <= MOST_ROWS:
            break
    return [(size, *rows[size]) for size in sorted(rows) if any(rows[size])]  # type: ignore[misc]


def _written(size: int, allocated: float, live: float) -> list[float]:
    return [size, *(round(count) if count == round(count) else float(f"{count:.6g}") for count in (allocated, live))]


def _unsampled(size: float, interval: int, *, is_old: bool) -> float:
    """Return how many objects a sampled object stands for, computed as in pprof and jeprof."""
    if interval <= 1:
        return 1.0
    ratio = size / interval
    return max(1 / ratio, 1.0) if is_old else -1 / expm1(-ratio)


def _take(profile: Profile, match: re.Match[bytes], interval: int = 0, *, is_old: bool = False) -> bool:
    """Count the objects of one call site, of which only the sum of the sizes is known."""
    live, live_bytes, allocated, allocated_bytes = (int(match[index]) for index in range(1, 5))
    count, size_sum = (live, live_bytes) if live else (allocated, allocated_bytes)
    if not count:
        return True
    size = size_sum / count
    stands_for = _unsampled(size, interval, is_old=is_old) if size > 0 else 1.0
    return profile.add(size, allocated * stands_for, live * stands_for)


def _read_jemalloc(portions: Portions, report: Report) -> Profile:
    """Read the output of ``prof.dump`` and ``prof_final``: a stack, then its counts for all threads and for each."""
    profile, interval, is_in_site = Profile(), 0, False
    for offset, line in lines_of(portions):
        if line.startswith(b"MAPPED_LIBRARIES"):
            break
        if head := _JEMALLOC_HEAD.fullmatch(line):
            interval = int(head[1])
        elif line.startswith(b"@"):
            is_in_site = True
        elif match := _ALL_THREADS.match(line):
            if is_in_site and not _take(profile, match, interval):
                report.drop(offset)
        elif line.strip() and not _A_THREAD.match(line):
            report.drop(offset)
    return noted(profile, interval, "their size classes, as jemalloc rounds them up")


def _read_gperftools(portions: Portions, report: Report) -> Profile:
    """Read gperftools' text heap profile: each line has a stack with its counts."""
    profile, interval, kind, total, rows_live = Profile(), 0, "", 0, 0
    for offset, line in lines_of(portions):
        if line.startswith(b"MAPPED_LIBRARIES"):
            break
        if not kind and (head := _GPERFTOOLS_HEAD.fullmatch(line)):
            kind, interval, total = head[5].decode(), int(head[6] or 0), int(head[1])
            if kind not in ("heapprofile", "heap", "heap_v2"):
                raise InputError(f"is a profile of '{kind}', not of live objects (heapprofile, heap, heap_v2)")
        elif match := _SITE.fullmatch(line):
            rows_live += int(match[1])
            if not _take(profile, match, interval, is_old=kind == "heap"):
                report.drop(offset)
        elif line.strip():
            report.drop(offset)
    if rows_live < total:
        profile.notes.append(f"its lines hold {rows_live:,} of the {total:,} live objects that its head counts")
    return noted(profile, interval, "means of what each call site asks for")


def noted(profile: Profile, interval: int, sizes: str) -> Profile:
    """Return a profile whose notes begin with the meaning of its counts and sizes."""
    profile.notes.insert(0, f"sizes are {sizes}")
    if interval > 1:
        profile.notes.insert(0, f"one allocation in {interval:,} bytes was sampled: counts are estimates")
    return profile


def _read_statistics(portions: Portions, report: Report) -> Profile:
    """Read jemalloc's statistics in JSON (``stats_print_opts:J``): bins of small sizes, extents of large ones."""
    content = b""
    for portion in portions:
        content += portion
        if len(content) > LARGEST_DOCUMENT:
            raise InputError(f"is larger than {LARGEST_DOCUMENT >> 20} MiB, and no statistics are that large")
    try:
        statistics = json.loads(content)["jemalloc"]
        sizes, arenas = statistics["arenas"], statistics["stats.arenas"]
        profile = Profile()
        for arena in [arenas["merged"]] if "merged" in arenas else arenas.values():
            for kind, known, live in (("bins", "bin", "curregs"), ("lextents", "lextent", "curlextents")):
                for counted, of in zip(arena[kind], sizes[known], strict=False):
                    _take_bin(profile, counted, of["size"], live, report)
    except json.JSONDecodeError as problem:
        raise InputError(f"is cut off, or not JSON, at byte {problem.pos:,}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise InputError(f"is not jemalloc's statistics: {type(problem).__name__} {problem}") from None
    return noted(profile, 0, "jemalloc's size classes; what lies in caches of threads counts as live")


def _take_bin(profile: Profile, counted: Mapping[str, Any], size: object, live: str, report: Report) -> None:
    numbers = [size, *(counted.get(name, 0) for name in ("nmalloc", "nrequests", live))]
    # A thread's cache takes many objects from a bin at once, so nrequests counts what the program requested.
    if not all(isinstance(number, int) for number in numbers) or not profile.add(
        numbers[0], max(numbers[1:3]), numbers[3]
    ):
        report.dropped += 1


def loaded(read: Reader) -> Callable[[Path], Source]:
    """Return a function that makes a source from a profile: the events of its workload."""

    def load(path: Path) -> Source:
        from dataclasses import replace

        from memtool.workload.sources.generated import generated

        with opened(path) as content:
            profiled = workload_of(read, Portions(content), name_of(path, "profile"), str(path))
        workload = Workload.model_validate(profiled.definition)
        source = generated(workload, workload.seed)
        return replace(source, notes=(*profiled.notes, *source.notes))

    return load


JEMALLOC = Importer(
    name="jemalloc",
    summary="Heap profiles of jemalloc (prof:true, prof.dump); text. A workload is made of one.",
    source="https://jemalloc.net/jemalloc.3.html#heap_profile_format",
    begins="heap_v2/524288",
    suffix=".heap",
    recognises=lambda head: _JEMALLOC_HEAD.match(head) is not None,
    load=loaded(_read_jemalloc),
    profile=_read_jemalloc,
)
STATISTICS = Importer(
    name="jemalloc-stats",
    summary="Statistics of jemalloc (stats_print:true,stats_print_opts:J); JSON. A workload is made of them.",
    source="https://jemalloc.net/jemalloc.3.html#malloc_stats_print",
    begins='{"jemalloc":',
    suffix=".json",
    recognises=lambda head: re.match(rb'\s*\{\s*"jemalloc"\s*:', head) is not None,
    load=loaded(_read_statistics),
    profile=_read_statistics,
)
GPERFTOOLS = Importer(
    name="gperftools",
    summary="Heap profiles of gperftools' tcmalloc (HEAPPROFILE=FILE); text. A workload is made of one.",
    source="https://gperftools.github.io/gperftools/heapprofile.html",
    begins="heap profile: ",
    suffix=".heap",
    recognises=lambda head: re.match(rb"heap profile:\s*\d", head) is not None,
    load=loaded(_read_gperftools),
    profile=_read_gperftools,
)
