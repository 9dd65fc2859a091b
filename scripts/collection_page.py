"""Measures what docs/collection.md shows, and writes its pictures and its tables in their place.

    python scripts/collection_page.py [PART ...]

The parts are heaps (time against the size of the heap), split (what time goes to), trees (binary trees and GCBench on
all collectors), pauses, maps (of heaps) and recordings. Tables stand between ``<!-- PART -->`` and
``<!-- end of PART -->``. All together take a quarter of an hour.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.patches import Patch
from tabulate import tabulate

from memtool.model import Run
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.report.paper import canvas
from memtool.report.plots.pictures import draw_all
from memtool.run import bench
from memtool.units import format_ns, format_size
from memtool.workload.trace import shipped_recordings

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/collection.md"
IMAGES = PAGE.parent / "images"
TREES = (
    "name: trees\ngraph:\n  binary-trees: {depth: 20, iterations: 1}\n",
    "name: gcbench\ngraph:\n  gcbench: {depth: 16}\n",
)
TITLES = {"trees": "binary trees of depth 20", "gcbench": "GCBench of depth 16"}
COLLECTORS = ("mark-sweep", "semispace", "generational", "mark-compact", "immix", "incremental", "boehm")
COUNTING = ("reference-counting", "deferred-counting")
HEAPS = ("1.5x", "2x", "3x", "4x", "6x", "8x")
SWEPT = ("mark-sweep", "mark-compact", "generational", "semispace", "boehm")
"""Semispace needs two copies of what lives, and some room."""
RECORDED = {
    "mark-sweep": "mark-sweep:heap=3x",
    "generational": "generational:heap=3x",
    "semispace": "semispace:heap=4x",
    "mark-compact": "mark-compact:heap=3x",
    "immix": "immix:heap=3x",
    "incremental": "incremental:heap=3x",
    "counting": "reference-counting:heap=4x",
    "deferred": "deferred-counting:heap=4x",
    "boehm": "boehm:heap=4x",
}
"""What the columns of the recordings are called, and their rows."""
RATIOS = ("cpu_ns_per_op", "peak_resident_bytes")
REFERENCE = "glibc"
PAUSED = "heap=1.5x"
EXPLICIT = ("glibc", "mimalloc", "arena")
TREE_ROWS = tuple(
    name if name in EXPLICIT else f"{name}:heap={4 if name == 'semispace' else 3}x"
    for name in (*COLLECTORS, *COUNTING, *EXPLICIT)
)
GROUPS = (
    ("#0072B2", "", "our collectors"),
    ("#E69F00", "///", "Boehm's collector"),
    ("#CCCCCC", "...", "explicit frees"),
)
"""Colour, hatch and words of the bars."""


def measured(texts: Sequence[str], rows: Sequence[str], blocks: int, folder: Path, *passes: Pass) -> Run:
    """Run workloads of these texts with these rows; the folder is the run's."""
    folder.mkdir(exist_ok=True)
    files = []
    for number, text in enumerate(texts):
        file = folder / f"{number}.yaml"
        file.write_text(text, encoding="utf-8")
        files.append(str(file))
    options = BenchOptions(
        workloads=tuple(files),
        allocators=",".join(rows),
        blocks=blocks,
        passes=passes,
        counters="none",
        output=folder / "run",
        draw_plots=False,
    )
    return bench(options, lambda *_: None).run


def picture(run: Run, folder: Path, name: str, target: str) -> None:
    """Draw one picture of a run into docs/images."""
    (drawn,) = draw_all(folder / "run", run, folder / "plots", only=[name])
    shutil.copyfile(drawn, IMAGES / target)


def figure_of(run: Run, workload: str, row: str, metric: str) -> float | None:
    """Return one figure; None where the row has none."""
    cells = (cell for cell in run.cells if (cell.cell.workload, cell.cell.allocator) == (workload, row))
    figure = next(cells).metrics.get(metric)
    return None if figure is None else figure.value


def heaps(folder: Path) -> None:
    """Draw time against the size of the heap."""
    text = "name: young\ngraph:\n  young: {objects: 1M, survivors: 2%, live: 20k, payload: [16, 80]}\n"
    rows = [f"{name}:heap={heap}" for name in SWEPT for heap in HEAPS if name != "semispace" or float(heap[:-1]) > 2]
    run = measured([text], [*rows, "glibc", "mimalloc", "arena"], 8, folder, Pass.THROUGHPUT, Pass.FOOTPRINT)
    picture(run, folder, "time-by-heap", "time-by-heap.png")


def trees(folder: Path) -> str:
    """Return the table of trees and GCBench, and draw both as one picture."""
    return trees_with(measured(TREES, TREE_ROWS, 1, folder / "memory", Pass.FOOTPRINT), folder / "time")


def trees_with(memory: Run, folder: Path) -> str:
    """Return the same for a run that has measured the memory, which takes no quiet machine."""
    time = measured(TREES, TREE_ROWS, 3, folder, Pass.THROUGHPUT)
    _draw_side_by_side(time, memory, IMAGES / "trees.png")
    return _table(time, memory)


def _draw_side_by_side(time: Run, memory: Run, target: Path) -> None:
    """Draw the processor time of each row, one panel for each workload, with its memory beside the bar."""
    with canvas.own_style():
        size = (11, 1.4 + 0.32 * len(TREE_ROWS))
        figure, panels = canvas.subplots(1, len(TITLES), *size, is_open=True, sharey=True)
        for axes, (name, title) in zip(panels, TITLES.items(), strict=True):
            times = [figure_of(time, name, row, "cpu_ns_per_op") or 0.0 for row in TREE_ROWS]
            for place, (row, length) in enumerate(zip(TREE_ROWS, times, strict=True)):
                kind = 2 if row in EXPLICIT else 1 if row.startswith("boehm") else 0
                colour, hatch, _ = GROUPS[kind]
                axes.barh(place, length, color=colour, hatch=hatch, edgecolor="black", linewidth=0.4)
                resident = figure_of(memory, name, row, "peak_resident_bytes")
                words = f"{length:.1f}" + ("" if resident is None else f" ns, {format_size(resident)}")
                axes.annotate(
                    words, (length, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7
                )
            axes.set_xlim(0, 1.45 * max(times))
            axes.set_title(title, fontsize=9)
            axes.set_xlabel("processor time per operation, in ns")
        panels[0].set_yticks(range(len(TREE_ROWS)), TREE_ROWS)
        panels[0].set_ylim(len(TREE_ROWS) - 0.4, -0.6)
        figure.legend(
            [Patch(facecolor=colour, hatch=hatch, edgecolor="black", linewidth=0.4) for colour, hatch, _ in GROUPS],
            [words for *_, words in GROUPS], loc="outside lower center", ncols=len(GROUPS), frameon=False, fontsize=8,
        )  # fmt: skip
        figure.suptitle(
            "Trees that are made and dropped: processor time and peak resident memory (shorter is faster)", fontsize=10
        )
        canvas.save(figure, target)


def _table(time: Run, memory: Run) -> str:
    lines = []
    for row in TREE_ROWS:
        line = [f"`{row}`"]
        for name in TITLES:
            processor = figure_of(time, name, row, "cpu_ns_per_op")
            resident = figure_of(memory, name, row, "peak_resident_bytes")
            line.append("n/a" if processor is None else f"{processor:.1f}")
            line.append("n/a" if resident is None else format_size(resident))
        lines.append(line)
    headings = ["", *(f"{name}, {what}" for name in TITLES for what in ("ns per operation", "resident"))]
    return tabulate(lines, headings, tablefmt="github", disable_numparse=True)


def pauses(folder: Path) -> str:
    """Return the table of pauses beside 64 MiB of live objects, and draw them and what they leave to the program."""
    text = (ROOT / "workloads/chapter/garbage-pauses.yaml").read_text(encoding="utf-8")
    rows = [f"mark-sweep:{PAUSED}", f"incremental:{PAUSED}", f"incremental:{PAUSED},pause=200us"]
    rows += [f"mark-compact:{PAUSED}", f"generational:{PAUSED}"]
    run = measured([text], rows, 3, folder, Pass.LATENCY)
    picture(run, folder, "utilisation", "utilisation.png")
    picture(run, folder, "pauses-over-time", "pauses-over-time.png")
    metrics = ("pauses", "pause_p50_ns", "pause_p99_ns", "pause_max_ns", "mmu_5ms", "mmu_50ms")
    lines = []
    for row in rows:
        figures = [figure_of(run, "garbage-pauses", row, metric) for metric in metrics]
        lines.append(
            [
                f"`{row}`",
                f"{figures[0] or 0:.0f}",
                *("n/a" if value is None else format_ns(value) for value in figures[1:4]),
                *("n/a" if value is None else f"{value:.0%}" for value in figures[4:]),
            ]
        )
    headings = ("", "pauses", "median", "99 %", "longest", "of any 5 ms", "of any 50 ms")
    return tabulate(lines, headings, tablefmt="github", disable_numparse=True)


def maps(folder: Path) -> None:
    """Draw the heaps of collectors and of two allocators, by what objects have outlived."""
    text = "name: mutating\ngraph:\n  mutating: {nodes: 5k, references: 3, operations: 300k, payload: [16, 200]}\n"
    rows = ["mark-sweep", "generational", "semispace:heap=4x", "mark-compact", "immix", "incremental:pause=100us"]
    run = measured([text], [*rows, "reference-counting", "tlsf", "arena"], 1, folder, Pass.HEAP)
    picture(run, folder, "heap-peak", "heap-maps/collectors.png")


def split(folder: Path) -> None:
    """Draw what processor time goes to."""
    text = "name: mutating\ngraph:\n  mutating: {nodes: 5k, references: 3, operations: 1M, payload: [16, 200]}\n"
    rows = ["mark-sweep", "generational", "semispace:heap=4x", "mark-compact", "immix", "incremental", "boehm"]
    run = measured([text], [*rows, *COUNTING, *EXPLICIT], 4, folder, Pass.LATENCY)
    picture(run, folder, "time-split", "time-split.png")


def recordings(folder: Path) -> str:
    """Return the table of the shipped recordings, with roots only."""
    names = [name.removeprefix("recorded/") for name in shipped_recordings()]
    texts = [f"name: {name}\ngraph: {{events: recorded/{name}}}\n" for name in names]
    run = measured(texts, [*RECORDED.values(), REFERENCE], 3, folder, Pass.THROUGHPUT, Pass.FOOTPRINT)
    for cell in run.cells:
        if cell.reason is not None:
            print(f"{cell.cell.workload}, {cell.cell.allocator}: {cell.reason}", file=sys.stderr)
    lines = [
        [name, *(" ".join(_ratio(run, name, row, metric) for metric in RATIOS) for row in RECORDED.values())]
        for name in names
    ]
    headings = ["", *(f"{name}, {row.rpartition('=')[2]}" for name, row in RECORDED.items())]
    return tabulate(lines, headings, tablefmt="github", disable_numparse=True)


def _ratio(run: Run, name: str, row: str, metric: str) -> str:
    ours, others = figure_of(run, name, row, metric), figure_of(run, name, REFERENCE, metric)
    return "n/a" if ours is None or not others else f"{ours / others:.2f}"


PARTS: dict[str, Callable[[Path], str | None]] = {
    "heaps": heaps,
    "split": split,
    "trees": trees,
    "pauses": pauses,
    "maps": maps,
    "recordings": recordings,
}


def _put(name: str, table: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if begin not in text:
        print(table)
        return
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}", encoding="utf-8")


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as scratch:
            table = PARTS[name](Path(scratch))
        if table is not None:
            _put(name, table)


if __name__ == "__main__":
    main()
