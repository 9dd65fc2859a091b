"""Writes the README's sample of a run, and its pictures, from the stored run in docs/data.

    python scripts/readme_sample.py                  write them anew
    python scripts/readme_sample.py --from RUN       the same, of another run, which is stored there first
    python scripts/readme_sample.py --check          exit with 1 where README or a picture is not what would be written

The sample leaves out the rows and tables that would not fit a screen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from memtool.model import Run
from memtool.report import selection, tables
from memtool.report.plots.pictures import draw_all
from memtool.store import run_file

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RUN = ROOT / "docs/data/quickstart.json"
IMAGES = ROOT / "docs/images"
PICTURES = ("speed-memory", "latency")
BEGIN, END = "<!-- sample: written by scripts/readme_sample.py -->\n", "<!-- end of the sample -->\n"
SHOWN = ("quickstart:", "segregated-pool is", "Speed", "Memory", "Load")
"""How the paragraphs begin that the sample shows, of all that `memtool bench` prints."""
ROWS = ("segregated-pool", "tcmalloc", "jemalloc", "tlsf", "glibc")
"""Of the allocators: as many as fit a screen."""
WIDTH = 100
MOST_APART = 2.0
"""Root mean square of the differences of two pictures' pixels: fonts of another build move letters by less."""


def sample() -> str:
    """Return the sample as Markdown."""
    run = selection.select(run_file.read(RUN), ROWS, None)
    paragraphs = tables.render(run, "table", WIDTH).split("\n\n")
    return "```text\n" + "\n\n".join(part for part in paragraphs if part.startswith(SHOWN)) + "\n```\n"


def spliced(page: str) -> str:
    """Return the page with the sample in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{sample()}\n{END}{after}"


def portable(run: Run) -> Run:
    """Return a run without what only the machine knows that it was taken on: paths, and series beside it.

    No picture of the README is drawn from a series.
    """

    def kept(proof: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in proof.items() if name != "code"}

    cells = tuple(replace(cell, series={}, proof=kept(cell.proof)) for cell in run.cells)
    workloads = tuple(replace(workload, source=Path(workload.source).name) for workload in run.workloads)
    return replace(run, cells=cells, workloads=workloads, command=("memtool", "bench"))


def draw(folder: Path) -> list[Path]:
    """Draw the pictures into a folder."""
    return draw_all(RUN.parent, run_file.read(RUN), folder, only=PICTURES)


def complaints() -> list[str]:
    """Return what is not as it would be written now."""
    from matplotlib.testing.compare import compare_images

    lines = []
    page = README.read_text(encoding="utf-8")
    if BEGIN not in page or spliced(page) != page:
        lines.append(f"{README.name}: its sample is not what scripts/readme_sample.py writes")
    with tempfile.TemporaryDirectory() as folder:
        for picture in draw(Path(folder)):
            difference = compare_images(str(IMAGES / picture.name), str(picture), MOST_APART)
            if difference is not None:
                words = " ".join(str(difference).split())
                lines.append(f"{picture.name}: not what scripts/readme_sample.py draws: {words}")
    return lines


def main() -> int:
    """Write or check the sample."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--from", dest="source", type=Path, metavar="RUN")
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    if chosen.check:
        lines = complaints()
        print("\n".join(lines), file=sys.stderr, end="\n" if lines else "")
        return 1 if lines else 0
    if chosen.source is not None:
        RUN.parent.mkdir(exist_ok=True)
        run_file.write_file(RUN, portable(run_file.read(chosen.source)))
    README.write_text(spliced(README.read_text(encoding="utf-8")), encoding="utf-8")
    draw(IMAGES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
