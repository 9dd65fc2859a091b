"""Row 24: what alignment takes, what false sharing and split loads cost, and what huge pages save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from memtool.host import counters
from memtool.host.counters import Counter
from memtool.kinds.access.names import width_of
from memtool.model import CellResult, Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from verification.cells import ratio_of_times, run, value
from verification.outcome import Line, Result, Verdict

ALIGNMENTS = (16, 64, 256)
BLOCKS = 65_536
NEAR = 0.01
TWICE = 2.0
PLACES = ("aligned", "line", "page")
HUGE = 512
"""Small pages in a huge one."""


def padding_lines(allocators: Mapping[str, str] = {"arena": "arena", "pool": "pool:block={}"}) -> Iterator[Line]:
    """Compare mean padding where sizes from 1 to A are alike, and A is the alignment."""
    for alignment in ALIGNMENTS:
        specs = {name: written.format(alignment) for name, written in allocators.items()}
        workload = f"ways: [align-{alignment}], blocks: {BLOCKS}, size: [1, {alignment}]"
        cells = _cells(workload, ",".join(specs.values()), (Pass.FOOTPRINT,), blocks=2)
        expected = (alignment - 1) / 2
        for name, spec in specs.items():
            (ours,) = (value(cell, "padding_bytes") for row, cell in cells.items() if row.startswith(spec))
            yield Line(
                f"mean padding of {name}, aligned to {alignment}, sizes 1 to {alignment} alike",
                f"(A - 1) / 2 = {expected}, ± {NEAR:.0%}",
                f"{ours:.3f}",
                Verdict.of(abs(ours / expected - 1) <= NEAR),
            )


def sharing_lines(blocks: int = 10) -> Iterator[Line]:
    """Compare two threads whose counters share a cache line with two that count apart."""
    cells = _cells("ways: [count-one-line, count-apart], accesses: 4M", "arena", (Pass.THROUGHPUT,), blocks=blocks)
    quantity, published = "time of a count by two threads, on one line / apart", f">= {TWICE:.0f}"
    shared, apart = cells["count-one-line"], cells["count-apart"]
    if shared.status is Status.EXCLUDED:
        yield Line(quantity, published, shared.reason or "", Verdict.NOT_RUN)
        return
    ratio = ratio_of_times(shared, apart)
    yield Line(quantity, published, f"{ratio:.1f}", Verdict.of(ratio >= TWICE))


def load_lines(blocks: int = 10) -> Iterator[Line]:
    """Compare loads across a line, and across a page, with aligned ones; all of them are in the first-level cache.

    Whether a page costs more than a line is the processor's affair, and said: on Zen 5 it does not, on Sapphire
    Rapids it costs 2.6 to 2.8 times as much.
    """
    ways = [f"load-{width}-{place}" for width in (16, 32, 64) for place in PLACES]
    cells = _cells(f"ways: [{', '.join(ways)}], accesses: 1M, pages: 8", "arena", (Pass.THROUGHPUT,), blocks=blocks)
    for width in (16, 32, 64):
        aligned, line, page = (cells[way] for way in ways if width_of(way) == width)
        quantity, published = f"loads of {width} bytes: across a line / aligned; a page / aligned", "> 1; > 1"
        if aligned.status is Status.EXCLUDED:
            yield Line(quantity, published, aligned.reason or "", Verdict.NOT_RUN)
            continue
        split, crossed = ratio_of_times(line, aligned), ratio_of_times(page, aligned)
        ours = f"{split:.2f}; {crossed:.2f} (a page / a line: {ratio_of_times(page, line):.2f})"
        yield Line(quantity, published, ours, Verdict.of(split > 1 and crossed > 1))


def huge_page_lines(blocks: int = 10, size: str = "64KiB") -> Iterator[Line]:
    """Compare random reads of a gibibyte in huge pages with the same reads in small ones."""
    workload = f"ways: [read-random], blocks: 16384, size: {size}, every: 4KiB, accesses: 1M"
    counts = counters.why_not(Counter.CALLGRIND) is None
    passes = (Pass.THROUGHPUT, Pass.FOOTPRINT, *((Pass.COUNTERS,) if counts else ()))
    cells = _cells(workload, "arena", passes, blocks=blocks, regions=("anonymous", "hugepages"))
    small, huge = cells["arena@read-random"], cells["arena@read-random on hugepages"]
    quantity = "random reads of 1 GiB, huge pages / small: {}"
    if huge.status is Status.EXCLUDED:
        yield Line(quantity.format("time"), "< 1", huge.reason or "", Verdict.NOT_RUN)
        return
    ratio = ratio_of_times(huge, small)
    yield Line(quantity.format("time"), "< 1", f"{ratio:.2f}", Verdict.of(ratio < 1))
    if counts:
        own, other = value(huge, "instructions_per_op"), value(small, "instructions_per_op")
        same = Verdict.of(abs(own / other - 1) <= NEAR)
        yield Line(quantity.format("instructions of a read"), "the same, ± 1 %", f"{own:.2f} / {other:.2f}", same)
    own, other = value(huge, "minor_faults"), value(small, "minor_faults")
    near = Verdict.of(abs(other / own / HUGE - 1) <= 0.05)
    yield Line(quantity.format("faults"), f"1/{HUGE}, ± 5 %", f"1/{other / own:.0f} ({own:,.0f} / {other:,.0f})", near)


def measured_lines() -> Iterator[Line]:
    """Return all that is sampled."""
    yield from sharing_lines()
    yield from load_lines()
    yield from huge_page_lines()


def _cells(
    access: str, allocators: str, passes: Sequence[Pass], *, blocks: int, regions: Sequence[str] = ("anonymous",)
) -> dict[str, CellResult]:
    """Return the cells of a workload by their allocators, and by their regions where these are not the first."""
    options = BenchOptions(
        allocators=allocators, regions=tuple(regions), passes=tuple(passes), blocks=blocks, footprint_repeats=2
    )
    return {
        cell.cell.allocator + (f" on {cell.cell.region}" if cell.cell.region != regions[0] else ""): cell
        for cell in run(f"name: access\naccess: {{{access}}}\n", options)
    }


ACCESS = Result(
    24,
    "Alignment, false sharing, split loads, huge pages",
    "Drepper 2007",
    "Drepper: What every programmer should know about memory, 2007, 3.3.4, 6.2.1, 6.4.1; Intel 64 and IA-32 "
    "Architectures Optimization Reference Manual, 3.6 (splits of cache lines and pages); padding: by arithmetic",
    exact=padding_lines,
    measured=measured_lines,
)
