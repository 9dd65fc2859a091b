"""The content of a report's page, as data: sections with sentences, tables, charts and explanations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from memtool import groups
from memtool.kinds import results
from memtool.model import CellResult, Report, Run, Status, TraceInfo
from memtool.report import look, sheets, summary, tables
from memtool.report.charts import judged, of_run
from memtool.report.charts.of_run import Detail
from memtool.report.charts.record import Axis, Chart, Heat, Lines
from memtool.report.sheets import Figure, Row, Sheet
from memtool.store import series
from memtool.units import format_count, format_ns, format_size


@dataclass(frozen=True, slots=True)
class Objects:
    """The number of objects of a workload by size and lifetime."""

    size_by_lifetime: Sequence[Sequence[int]]
    """[size, from 2^row bytes][lifetime, from 2^column allocations] -> objects."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored run for the report, with further facts."""

    run: Run
    directory: Path
    """Folder of its series."""
    source: str
    compared: Report | None = None
    """Comparison of its allocators with its reference."""
    objects: Mapping[str, Objects] = field(default_factory=dict)
    """Objects by name of the workload, where its events are available."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with its own heading."""

    id: str
    title: str
    lines: tuple[str, ...] = ()
    """Description of the replayed workload."""
    said: tuple[str, ...] = ()
    """The summary, in sentences."""
    sheets: tuple[Sheet, ...] = ()
    prose: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """The content of the whole page."""

    title: str
    runs: tuple[str, ...]
    """One line about each run."""
    said: tuple[str, ...]
    overview: tuple[Sheet, ...]
    sections: tuple[Section, ...]
    ends: tuple[Section, ...]
    """Closing sections: machine, proof, exclusions and failures."""
    styles: Mapping[str, look.Style]
    memtool: str


def of_runs(stored: Sequence[Stored], between: Sequence[Report], detail: Detail) -> Content:
    """Return the page for one or more runs; ``between`` holds the comparisons of later runs with the first."""
    several = len(stored) > 1
    sections, ends, said = [], [], []
    for number, stored_run in enumerate(stored):
        where = f" ({stored_run.source})" if several else ""
        for place, info in enumerate(stored_run.run.workloads):
            sections.append(_workload(f"w{number}-{place}", stored_run, info, where, detail))
        sections += [
            Section(f"s{number}-{place}", f"{name}: sweep{where}", charts=tuple(charts))
            for place, (name, charts) in enumerate(of_run.of_sweeps(stored_run.run))
        ]
        sections += _compared(f"c{number}", stored_run.compared, where)
        ends += list(_end(f"e{number}", stored_run, where))
        words = summary.overall(stored_run.run)
        if len(stored_run.run.workloads) == 1:
            words = summary.sentences(stored_run.run, stored_run.run.workloads[0])
        said += [f"{stored_run.source}: {' '.join(words)}" if several else " ".join(words)] if words else []
    sections += [
        section
        for number, report in enumerate(between, 1)
        for section in _compared(f"b{number}", report, f" ({' and '.join(report.sources)})")
    ]
    labels = [look.label(cell) for stored_run in stored for cell in stored_run.run.cells if cell.metrics]
    names = list(dict.fromkeys(info.name for stored_run in stored for info in stored_run.run.workloads))
    return Content(
        title=names[0] if len(names) == 1 else f"{len(names)} workloads",
        runs=tuple(_run_in_words(stored_run) for stored_run in stored),
        said=tuple(said),
        overview=tuple(_overview(stored_run, several) for stored_run in stored if len(stored_run.run.workloads) > 1),
        sections=tuple(sections),
        ends=tuple(ends),
        styles=look.styles_of([*labels, *_other_labels(sections)]),
        memtool=stored[0].run.memtool,
    )


def _other_labels(sections: Sequence[Section]) -> Iterator[str]:
    """Yield the meaning of lines that no row has, such as an allocator over all of its ways."""
    for section in sections:
        for chart in section.charts:
            if isinstance(chart, Lines):
                yield from (line.label for line in chart.lines if line.look == "allocator")


def _run_in_words(stored: Stored) -> str:
    machine = stored.run.machine
    return (
        f"{stored.source}: {groups.short(machine)}, "
        f"{stored.run.blocks} blocks, {stored.run.started[:16].replace('T', ' ')}, memtool {stored.run.memtool}"
    )


def _workload(name: str, stored: Stored, info: TraceInfo, where: str, detail: Detail) -> Section:
    run = stored.run
    cells = [cell for cell in run.cells if cell.cell.workload == info.name]
    measured = look.measured(run, info)
    built = [sheet for choice in results(info.kind).sheets if (sheet := sheets.build(choice, measured, run, info))]
    histories = {look.label(cell): series.read(stored.directory, cell) for cell in measured}
    charts = of_run.of_workload(measured, histories, info, detail)
    objects = stored.objects.get(info.name)
    if objects is not None:
        charts.append(_objects(objects))
    heading = results(info.kind).heading(info) + tables.replayed(run, info, cells)
    return Section(
        id=name,
        title=info.name + where,
        lines=tuple(heading.split("\n")),
        # With a single workload it is at the top already.
        said=tuple(summary.sentences(run, info)) if len(run.workloads) > 1 else (),
        sheets=tuple(sheet for sheet in built if sheet.rows and sheet.headings),
        prose=tuple(tables.prose(run, info, built)),
        charts=tuple(charts),
    )


def tables_of(run: Run) -> list[tuple[str, list[str], list[Sheet]]]:
    """Return (workload, summary in sentences, tables) for each workload of a run."""
    parts = []
    for info in run.workloads:
        measured = look.measured(run, info)
        built = [sheet for choice in results(info.kind).sheets if (sheet := sheets.build(choice, measured, run, info))]
        parts.append((info.name, summary.sentences(run, info), [sheet for sheet in built if sheet.rows]))
    return parts


def _objects(objects: Objects) -> Heat:
    matrix = objects.size_by_lifetime
    return Heat(
        "size-by-lifetime",
        "Objects of the workload by size and lifetime",
        Axis(
            "lifetime, at least (allocations)", categories=tuple(format_count(1 << at) for at in range(len(matrix[0])))
        ),
        Axis("size, at least", categories=tuple(format_size(1 << at) for at in range(len(matrix)))),
        tuple(tuple(count or None for count in row) for row in matrix),
        Axis("objects", is_log=True),
        rows_are_allocators=False,
    )


def _overview(stored: Stored, several: bool) -> Sheet:
    """Return the time of each allocator on each workload, with its rank there."""
    labels = dict.fromkeys(look.label(cell) for cell in stored.run.cells)
    columns: list[tuple[str, dict[str, Figure]]] = []
    for info in stored.run.workloads:
        cells = look.ordered([c for c in stored.run.cells if c.cell.workload == info.name and c.metrics])
        ranks = sheets.ranking(cells)
        figures = {}
        for index, cell in enumerate(cells):
            metric = look.time_of(cell)
            if metric is not None and metric.value is not None:
                rank = f" ({ranks[index]})" if index in ranks else ""
                figures[look.label(cell)] = Figure(f"{format_ns(metric.value)}{rank}", metric.value)
        if figures:
            columns.append((info.name, figures))
    where = f" ({stored.source})" if several else ""
    return Sheet(
        f"Time by workload, with the rank in brackets{where}",
        tuple(heading for heading, _ in columns),
        tuple(
            Row(label, "", tuple(figures.get(label, Figure(sheets.NOT_APPLICABLE)) for _, figures in columns))
            for label in labels
        ),
    )


def _compared(name: str, report: Report | None, where: str) -> Iterator[Section]:
    if report is None:
        return
    workloads = dict.fromkeys(judgement.comparison.workload for judgement in report.judgements)
    charts = [
        (workload, chart)
        for workload in workloads
        if (
            chart := judged.changes(
                [judgement for judgement in report.judgements if judgement.comparison.workload == workload],
                f"{workload}: changes, with 95 % intervals",
                is_choice=report.is_choice,
            )
        )
    ]
    if not charts:
        return
    bases = dict.fromkeys(judgement.comparison.base for judgement in report.judgements)
    against = f"against {next(iter(bases))}" if len(bases) == 1 else "of two runs, the second against the first"
    yield Section(
        name,
        f"Comparison {against}{where}",
        lines=(
            f"Margin of sampled figures {100 * report.margin:g} %; {report.family} tests share alpha {report.alpha:g}.",
        ),
        prose=(*report.notes, *(f"Not judged: {line}" for line in report.unjudged)),
        charts=tuple(chart for _, chart in charts),
    )


def _end(name: str, stored: Stored, where: str) -> Iterator[Section]:
    run = stored.run
    facts = Sheet(
        f"Machine{where}",
        ("value",),
        tuple(Row(str(key), "", (Figure(_fact(value)),)) for key, value in run.machine.items() if value is not None),
    )
    command = " ".join(run.command)
    legend = tables.legend(run)
    yield Section(
        f"{name}-machine",
        f"Machine and run{where}",
        lines=(f"Command: {command}",) if command else (),
        sheets=(facts,),
        prose=(*legend, *(f"Note: {note}" for note in run.notes)),
    )
    proof = Sheet(
        f"What each row stands on{where}",
        ("workload", "status", "served by", "version", "checks of\nthe heap", "samples"),
        tuple(_proof(cell) for cell in run.cells if cell.status is Status.OK),
    )
    lost = [cell for cell in run.cells if cell.status is not Status.OK]
    without = Sheet(
        f"Left out and failed{where}",
        ("workload", "status", "reason"),
        tuple(_in_words(cell, cell.cell.workload, cell.status, cell.reason or "") for cell in lost),
    )
    yield Section(f"{name}-proof", f"Proof{where}", sheets=(proof,) if proof.rows else ())
    words = () if lost else ("Nothing was left out, and nothing failed.",)
    yield Section(f"{name}-lost", f"Exclusions and failures{where}", lines=words, sheets=(without,) if lost else ())


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_fact(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_fact(part) for part in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _proof(cell: CellResult) -> Row:
    proof = cell.proof
    owner = str(proof.get("malloc_owner") or "")
    return _in_words(
        cell,
        cell.cell.workload,
        cell.status,
        owner.rpartition("/")[2] or "the engine",
        proof.get("version") or "",
        proof.get("invariants_checked", ""),
        max((len(metric.samples) for metric in cell.metrics.values()), default=0),
    )


def _in_words(cell: CellResult, *facts: object) -> Row:
    return Row(look.label(cell), "", tuple(Figure(str(fact)) for fact in facts))
