"""Row 19: mappings against reads, of files that the page cache holds and of files that it does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from memtool.kinds.file import place
from memtool.model import CellResult
from memtool.passes import Pass
from verification.cells import measure, ratio_of_times, value
from verification.outcome import Line, Result, Verdict

BLOCKS = 6
PAGE = 4096
READS = 256
BEYOND = f"pattern: random-read, size: 256MiB, accesses: {READS}, cache: limited, limit: 32MiB"
WITHIN = "pattern: random-read, size: 32MiB, accesses: 64k"
DIRECT, MAPPED, READ = "uring-read-direct", "mmap-random", "pread"
SCANNED = ("4KiB", "64KiB")
COLD_PAGES, COLD_READS = 4096, 2048


def beyond_lines() -> Iterator[Line]:
    """Compare reads at random of a file that is eight times as large as the page cache may be."""
    quantity, published = f"random reads beyond memory: {MAPPED} / {DIRECT}", "mmap falls behind: > 1"
    refusal = place.groups().refusal or place.ground(place.default_folder()).no_dropping
    if refusal is not None:
        yield Line(quantity, published, refusal, Verdict.NOT_RUN)
        yield from fault_lines()
        return
    cells = _of_file(BEYOND, (MAPPED, DIRECT), (Pass.THROUGHPUT,))
    ratio = ratio_of_times(cells[MAPPED], cells[DIRECT])
    yield Line(quantity, published, f"{ratio:.2f} ({_times(cells, MAPPED, DIRECT)})", Verdict.of(ratio > 1))


def within_lines() -> Iterator[Line]:
    """Compare the same reads of a file that is cached: the mapping is faster there."""
    cells = _of_file(WITHIN, (MAPPED, DIRECT), (Pass.THROUGHPUT,))
    ratio = ratio_of_times(cells[MAPPED], cells[DIRECT])
    yield Line(
        f"random reads of what is cached: {MAPPED} / {DIRECT}",
        "mmap is ahead while memory holds the file: < 1",
        f"{ratio:.3f} ({_times(cells, MAPPED, DIRECT)})",
        Verdict.of(ratio < 1),
    )


def scan_lines() -> Iterator[Line]:
    """Compare scans of a file that is cached: mmap saves a call a read, and large reads are few."""
    ratios: list[float] = []
    for block in SCANNED:
        cells = _of_file(f"pattern: scan, size: 64MiB, block: {block}", ("mmap-populate", READ), (Pass.THROUGHPUT,))
        ratios.append(ratio_of_times(cells["mmap-populate"], cells[READ]))
        is_least = len(ratios) == 1
        yield Line(
            f"scan of what is cached, {block} at a time: mmap-populate / {READ}",
            "mmap wins: < 1" if is_least else f"its lead falls as reads grow: > {ratios[0]:.2f}",
            f"{ratios[-1]:.2f} ({_times(cells, 'mmap-populate', READ)})",
            Verdict.of(ratios[-1] < 1 if is_least else ratios[-1] > ratios[0]),
        )


def fault_lines(mapped: str = MAPPED) -> Iterator[Line]:
    """Count the faults of reads at random of a file that is in no cache: each page that is touched has one."""
    quantity = f"major faults of {COLD_READS:,} random reads of {COLD_PAGES:,} pages that are not cached"
    expected = COLD_PAGES * (1 - (1 - 1 / COLD_PAGES) ** COLD_READS)
    published = f"pages that are touched: {expected:,.0f}, ± 5 %"
    refusal = place.ground(place.default_folder()).no_dropping
    if refusal is not None:
        yield Line(quantity, published, refusal, Verdict.NOT_RUN)
        return
    size = COLD_PAGES * PAGE
    cold = f"pattern: random-read, size: {size}, accesses: {COLD_READS}, cache: cold"
    faults = value(_of_file(cold, (mapped,), (Pass.FOOTPRINT,))[mapped], "major_faults")
    yield Line(quantity, published, f"{faults:,.0f}", Verdict.of(abs(faults / expected - 1) <= 0.05))


def lines() -> Iterator[Line]:
    """Return all of them."""
    yield from beyond_lines()
    yield from within_lines()
    yield from scan_lines()
    yield from fault_lines()


def _of_file(file: str, ways: tuple[str, ...], passes: tuple[Pass, ...]) -> Mapping[str, CellResult]:
    return measure(f"name: mapping\nfile: {{{file}, ways: [{', '.join(ways)}]}}\n", passes, BLOCKS)


def _times(cells: Mapping[str, CellResult], *ways: str) -> str:
    times = [value(cells[way], "time_per_op_ns") for way in ways]
    return " and ".join(f"{time / 1000:,.2f}" for time in times) + " µs a read"


MAPPING = Result(
    19,
    "mmap against read",
    "Crotty et al. 2022",
    "Crotty, Leis and Pavlo: Are you sure you want to use MMAP in your database management system?, CIDR 2022, 4 "
    "(order of times; there 2 TB on ten disks, 100 threads)",
    measured=lines,
)
