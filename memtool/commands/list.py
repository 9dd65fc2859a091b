"""``memtool list``: the names that can be used on the command line."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from memtool import formats
from memtool.commands.options import format_option, width_of_lists

if TYPE_CHECKING:
    from memtool.allocators.parameters import Parameter

Row = Mapping[str, Any]


@click.command("list")
@click.argument(
    "what",
    type=click.Choice(["allocators", "adaptors", "workloads", "regions", "metrics", "importers"]),
    metavar="WHAT",
)
@format_option(formats.FACTS)
def command(what: str, output_format: str) -> None:
    """List the available allocators, adaptors, workloads, regions, metrics or importers.

    The table of allocators includes the adaptors; with --format json each is a separate list.
    """
    make_rows, table = _LISTS[what]
    rows = make_rows()
    click.echo(json.dumps(rows, indent=2) if output_format == "json" else table(rows))


def _allocators() -> list[dict[str, Any]]:
    from memtool.allocators.registry import GROUPS, INTERPRETED, Registry

    registry = Registry()
    groups = {family: group for group, family in GROUPS.items()} | {"python": INTERPRETED}
    return [
        {
            **asdict(known),
            "group": f"@{groups[known.family]}" if known.family in groups else None,
            "parameters": _parameters(known.parameters),
        }
        for known in (*registry.known(), *registry.interpreted())
    ]


def _adaptors() -> list[dict[str, Any]]:
    from memtool.allocators.registry import Registry

    return [
        {**asdict(adaptor), "parameters": _parameters(adaptor.parameters)} for adaptor in Registry().known_adaptors()
    ]


def _parameters(parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    return [{**asdict(parameter), "range": parameter.range} for parameter in parameters]


def _workloads() -> list[dict[str, Any]]:
    from memtool.kinds.work import kind_of, work
    from memtool.workload.trace import shipped

    rows: list[dict[str, Any]] = []
    for name, path in shipped().items():
        source, description = work(kind_of(path)).listed(path)
        rows.append({"name": name, "source": source, "description": description, "file": str(path)})
    return rows + _recordings()


def _recordings() -> list[dict[str, Any]]:
    from memtool.errors import MemtoolError
    from memtool.workload.sources import trace_file
    from memtool.workload.trace import shipped_recordings

    rows = []
    for name, path in shipped_recordings().items():
        try:
            description = trace_file.load(path).metadata["description"]
        except MemtoolError as problem:
            description = str(problem)
        rows.append({"name": name, "source": "recording", "description": description, "file": str(path)})
    return rows


def _regions() -> list[dict[str, Any]]:
    from memtool.allocators.regions import REGIONS, why_unavailable

    return [
        {"name": region.name, "summary": region.summary, "when": region.when, "missing": why_unavailable(region)}
        for region in REGIONS.values()
    ]


def _metrics() -> list[dict[str, Any]]:
    from memtool.measure.metrics import METRICS

    return _columns(METRICS.values(), "name", "unit", "meaning", "direction")


def _importers() -> list[dict[str, Any]]:
    from memtool.workload.importers.known import IMPORTERS

    return _columns(IMPORTERS, "name", "summary", "begins", "source")


def _columns(items: Iterable[object], *names: str) -> list[dict[str, Any]]:
    return [{name: getattr(item, name) for name in names} for item in items]


def _allocator_table(rows: Sequence[Row]) -> str:
    """Return the allocators by family, each under the group that names the family."""
    lines: list[tuple[str, ...]] = []
    family = None
    for row in rows:
        if row["family"] != family:
            family = row["family"]
            lines += [(" ",) * 3] if lines else []
            lines.append((row["group"] or family, "", ""))
        lines += _entry(row["name"], row)
    table = _table(("allocator", "", "what it is, costs, is for, and takes"), lines)
    words = (
        "-a takes names, @groups, parameters (pool:block=64), sweeps (pool:block=32|64), libraries "
        "(./libmine.so), classes in Python (mine.py:Heap), and adaptors over any of them "
        "(pool:block=64+redzone:bytes=32+lock), from the innermost outwards. Further groups: @strategies, @default "
        "(a bench without -a), @all. docs/allocators.md lists what each can serve, and its origin."
    )
    return f"{table}\n\n{_adaptor_table(_adaptors())}\n\n{textwrap.fill(words, width_of_lists())}"


def _adaptor_table(rows: Sequence[Row]) -> str:
    lines = [line for row in rows for line in _entry(f"+{row['name']}", row)]
    return _table(("adaptor", "", "what it does, adds, is for, and takes"), lines)


def _entry(name: str, row: Row) -> list[tuple[str, ...]]:
    """Return the lines about an allocator or adaptor: its summary, followed by further facts."""
    parameters = [f"{_assigned(parameter)} ({parameter['range']})" for parameter in row["parameters"]]
    details = [
        ("cost", row["complexity"]),
        ("use", row["when"]),
        ("frees", _FREES[row["capabilities"]["free_order"]] if "capabilities" in row else ""),
        ("threads", _THREADS.get(row.get("threads", ""), "")),
        ("takes", "; ".join(parameters)),
        ("lacks", row.get("missing") or ""),
    ]
    return [(f" {name}", "is", row["summary"]), *(("", label, text) for label, text in details if text)]


_FREES: Mapping[str, str] = {
    "any": "",
    "lifo": "only the youngest block",
    "fifo": "only the oldest block",
    "reset": "nothing by itself: memory comes back at the end of a scope, or never",
    "none": "nothing: what nothing leads to is reclaimed",
}
_THREADS: Mapping[str, str] = {
    "none": "one at a time: put +lock over it",
    "as below": "as the allocator below it",
    "any": "any number",
}


def _assigned(parameter: Row) -> str:
    return parameter["name"] if parameter["default"] is None else f"{parameter['name']}={parameter['default']}"


def _workload_table(rows: Sequence[Row]) -> str:
    lines = [(row["name"], row["source"], row["description"]) for row in rows]
    return _table(("workload", "made of", "what it is"), lines, most=120)


def _region_table(rows: Sequence[Row]) -> str:
    lines = [(row["name"], row["summary"], row["missing"] or f"Use: {row['when']}") for row in rows]
    return _table(("region", "what it is", "when to use it"), lines, wrapped=(1, 2), most=114)


def _metric_table(rows: Sequence[Row]) -> str:
    lines = [(row["name"], row["unit"], row["direction"], row["meaning"]) for row in rows]
    return _table(("metric", "unit", "better", "meaning"), lines, most=120)


def _importer_table(rows: Sequence[Row]) -> str:
    lines = [(row["name"], f"{row['summary']} {row['source']}.", row["begins"]) for row in rows]
    return _table(("importer", "what it reads", "files begin with"), lines, wrapped=(1, 2), most=118)


def _table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, wrapped: tuple[int, ...] = (-1,), most: int = 100
) -> str:
    """Return a table as wide as the terminal, at most ``most``: columns in ``wrapped`` share the remaining width."""
    from tabulate import tabulate

    widths: list[int | None] = [None] * len(headings)
    rigid = set(range(len(headings))) - {column % len(headings) for column in wrapped}
    # tabulate makes a column wider than its heading by two.
    taken = sum(max(len(headings[at]) + 2, *(len(row[at]) for row in rows)) for at in rigid) + 2 * (len(headings) - 1)
    for column in wrapped:
        widths[column] = max((width_of_lists(most) - taken) // len(wrapped), _LEAST_COLUMN)
    # Indented names are members of the group above them.
    return tabulate(
        rows,
        headers=headings,
        tablefmt="simple",
        maxcolwidths=widths,
        disable_numparse=True,
        preserve_whitespace=True,
    )


_LEAST_COLUMN = 20
_LISTS: Mapping[str, tuple[Callable[[], list[dict[str, Any]]], Callable[[Sequence[Row]], str]]] = {
    "allocators": (_allocators, _allocator_table),
    "adaptors": (_adaptors, _adaptor_table),
    "workloads": (_workloads, _workload_table),
    "regions": (_regions, _region_table),
    "metrics": (_metrics, _metric_table),
    "importers": (_importers, _importer_table),
}
"""What can be listed -> how its rows are made, and their table."""
