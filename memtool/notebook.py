"""``import memtool``: measure, load, record, compare and draw in a Python session or a notebook.

These functions are short forms of memtool.api, whose functions take and return records. Their results display
themselves in a notebook.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtool import api
from memtool.errors import InputError, MemtoolError, did_you_mean
from memtool.passes import Pass, passes_from
from memtool.units import plural

if TYPE_CHECKING:
    from pandas import DataFrame

    from memtool.model import Report, Run

_ROWS_OF_A_FRAME = ("workload", "allocator", "region", "mode", "status", "metric", "unit", "value", "low", "high")


@dataclass(frozen=True, slots=True, repr=False)
class StoredRun:
    """A stored run and its folder."""

    run: Run
    directory: Path

    def to_pandas(self, *, samples: bool = False) -> DataFrame:
        """Return a data frame with one row per figure of each cell, or with ``samples`` one row per sample.

        Times are in ns, sizes in bytes. A cell without figures has one row, without a metric. Raises MemtoolError if
        pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MemtoolError("to_pandas needs pandas: pip install pandas") from None
        rows: list[tuple[Any, ...]] = []
        for result in self.run.cells:
            cell = result.cell
            head = (cell.workload, cell.allocator, cell.region, cell.mode)
            if samples:
                rows += [
                    (*head, name, metric.unit, block, sample)
                    for name, metric in result.metrics.items()
                    for block, sample in zip(metric.blocks, metric.samples, strict=True)
                ]
                continue
            figures: list[tuple[Any, ...]] = [
                (name, metric.unit, metric.value, metric.low, metric.high) for name, metric in result.metrics.items()
            ]
            rows += [(*head, str(result.status), *figure) for figure in figures or [(None,) * 5]]
        columns = (*_ROWS_OF_A_FRAME[:4], "metric", "unit", "block", "sample") if samples else _ROWS_OF_A_FRAME
        return pandas.DataFrame(rows, columns=list(columns))

    def compare(self, other: StoredRun | None = None, *, reference: str | None = None, **rules: Any) -> Compared:  # noqa: ANN401  # of api.policy
        """Compare another run with this one, or without it this run's allocators with its reference.

        ``rules`` are the arguments of ``memtool.api.policy``: ``metrics``, ``margin``, ``limits``. Raises InputError
        and Incomparable.
        """
        head = None if other is None else other.directory
        return Compared(api.compare(self.directory, head, rules=api.policy(**rules), reference=reference))

    def plot(self, name: str, *, allocators: Sequence[str] | None = None, suffix: str = "svg") -> Picture:
        """Return one of the run's pictures, such as ``throughput``, ``latency`` or ``speed-memory``.

        It is written to the folder ``plots`` of the run. Raises InputError if the run does not have this picture.
        """
        files = api.draw(self.directory, only=[name], allocators=allocators, suffix=suffix)
        if not files:
            raise InputError(f"{self.directory}: has no figures for the picture '{name}'", field="only")
        return Picture(tuple(files))

    def report(self, output: Path | str | None = None) -> Path:
        """Write the report of this run, one HTML file, and return its path (memtool.api.report)."""
        return api.report([self.directory], None if output is None else Path(output))

    def __repr__(self) -> str:
        """Return one line that identifies the run; ``str`` and a notebook show its tables."""
        names = ", ".join(info.name for info in self.run.workloads)
        return f"<memtool run of {names}: {plural(len(self.run.cells), 'cell')} in {self.directory}>"

    def __str__(self) -> str:
        """Return its tables."""
        return api.render(self.run)

    def _repr_html_(self) -> str:
        """Return the form for a notebook: the answer in sentences, and the tables."""
        from memtool.report.page import page

        return page.fragment(self.run)


@dataclass(frozen=True, slots=True, repr=False)
class Compared:
    """A comparison with its verdicts."""

    report: Report

    @property
    def verdicts(self) -> dict[tuple[str, str, str], str]:
        """Return a mapping from (workload, allocator, metric) to the verdict, such as regression or pass."""
        return {
            (of.comparison.workload, of.comparison.head, of.comparison.metric): str(of.verdict)
            for of in self.report.judgements
        }

    def __repr__(self) -> str:
        """Return one line that names the runs compared."""
        count = plural(len(self.report.judgements), "verdict")
        return f"<memtool comparison of {' and '.join(self.report.sources)}: {count}>"

    def __str__(self) -> str:
        """Return its table of verdicts."""
        return api.render(self.report)

    def _repr_markdown_(self) -> str:
        """Return the form for a notebook."""
        return api.render(self.report, "markdown")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a run: one file for each of its workloads."""

    files: tuple[Path, ...]

    def _repr_html_(self) -> str:
        """Return the form for a notebook: the pictures themselves, so that the notebook contains them."""
        import base64

        kinds = {".svg": "svg+xml", ".png": "png"}
        images = [
            f'<img alt="{path.stem}" src="data:image/{kinds[path.suffix]};base64,'
            f'{base64.b64encode(path.read_bytes()).decode()}">'
            for path in self.files
            if path.suffix in kinds
        ]
        return "".join(images) or "".join(f"<p>{path}</p>" for path in self.files)


def bench(
    workloads: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    allocators: str | Sequence[str] | None = None,
    **options: Any,  # noqa: ANN401  # of BenchOptions
) -> StoredRun:
    """Measure workloads under allocators, and return the run.

    Args:
        workloads: one or several files or names; by default the quickstart.
        allocators: as for ``-a``, in one string or as a list; by default the same as on the command line.
        options: further fields of ``memtool.api.BenchOptions``: ``blocks``, ``output``, ``passes``, ``reference`` …

    Raises:
        InputError: an argument is wrong; ``field`` names it.
        MemtoolError: this machine cannot run the benchmark.
    """
    from memtool.options import BenchOptions

    several = [workloads] if isinstance(workloads, str | os.PathLike) else workloads
    names = allocators if allocators is None or isinstance(allocators, str) else ",".join(allocators)
    fields: dict[str, Any] = {"draw_plots": False, "command": ("memtool.bench",)} | options
    if "output" in fields and fields["output"] is not None:
        fields["output"] = Path(fields["output"])
    fields |= {name: _listed(fields[name]) for name in ("regions", "threads", "rates") if name in fields}
    if "passes" in fields:
        fields["passes"] = _passes(fields["passes"])
    bench_options = BenchOptions(
        workloads=tuple(os.fspath(workload) for workload in several), allocators=names, **fields
    )
    outcome = api.bench(bench_options)
    return StoredRun(outcome.run, outcome.directory)


def _listed(values: Any) -> tuple[Any, ...]:  # noqa: ANN401  # as a caller has them
    """Return one value, a list in one string, or several values as a tuple."""
    if isinstance(values, str):
        return tuple(name.strip() for name in values.split(","))
    return tuple(values) if isinstance(values, Sequence) else (values,)


def _passes(named: str | Sequence[str]) -> tuple[Pass, ...]:
    """Return the passes with these names, given in one string or as a list."""
    names = _listed(named)
    unknown = next((name for name in names if name not in [*Pass]), None)
    if unknown is not None:
        raise InputError(f"unknown pass '{unknown}'{did_you_mean(unknown, [*Pass])}", field="passes")
    return passes_from(names)


def load(path: str | os.PathLike[str]) -> StoredRun:
    """Return a stored run: a folder of results, or its run.json. Raises InputError."""
    place = Path(path)
    run = api.show(place)
    return StoredRun(run, place if place.is_dir() else place.parent)


def record(program: Sequence[str], output: str | os.PathLike[str] | None = None) -> Path:
    """Run a program to its end and return the trace file of its allocations, which ``bench`` can replay.

    Raises InputError if the program cannot be recorded, and MemtoolError if it failed or allocated no memory.
    """
    if output is None:
        folder = Path(tempfile.mkdtemp(prefix="memtool-"))
        output = folder / f"{Path(program[0]).name}.parquet"
    recording = api.record(program, Path(output))
    if recording.recorded.status != 0:
        raise MemtoolError(f"{program[0]} ended with status {recording.recorded.status}")
    file = next((file for file in recording.files if file is not None), None)
    if file is None:
        raise MemtoolError(f"{program[0]} allocated no memory that could be recorded")
    return file
