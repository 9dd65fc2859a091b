"""``memtool list``: what can be named on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

Row = Mapping[str, Any]


@click.command("list")
@click.argument("what", type=click.Choice(["allocators", "workloads", "regions", "metrics"]))
@click.option("--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(what: str, output_format: str) -> None:
    """List what WHAT there is."""
    rows = _LISTS[what]()
    if output_format == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    click.echo(_TABLES[what](rows))


def _allocators() -> list[dict[str, Any]]:
    from dataclasses import asdict

    from memtool.allocators.registry import Registry

    return [asdict(each) for each in Registry().known()]


def _workloads() -> list[dict[str, Any]]:
    from memtool.workload.loader import load_workload
    from memtool.workload.trace import shipped

    rows = []
    for name, path in shipped().items():
        workload = load_workload(path)
        source = next(key for key in ("pattern", "profile", "frames", "objects") if getattr(workload, key) is not None)
        rows.append({"name": name, "source": source, "description": workload.description, "file": str(path)})
    return rows


def _regions() -> list[dict[str, Any]]:
    from memtool.allocators.regions import REGIONS, why_unavailable

    return [{"name": each.name, "summary": each.summary, "missing": why_unavailable(each)} for each in REGIONS.values()]


def _metrics() -> list[dict[str, Any]]:
    from memtool.measure.metrics import METRICS

    return [
        {"name": each.name, "unit": each.unit, "meaning": each.meaning, "direction": each.direction}
        for each in METRICS.values()
    ]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int | None]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=headings, tablefmt="simple", maxcolwidths=list(widths), disable_numparse=True)


def _allocator_table(rows: Sequence[Row]) -> str:
    shown = []
    for row in rows:
        parameters = ", ".join(_parameter(each) for each in row["parameters"])
        summary = row["summary"] + (f" [{row['missing']}]" if row["missing"] else "")
        shown.append((row["name"], row["family"], summary, row["complexity"], parameters))
    return _table(("allocator", "family", "what it is", "cost", "parameters"), shown, (16, 11, 38, 22, 34))


def _parameter(parameter: Row) -> str:
    if parameter["choices"]:
        return f"{parameter['name']}={'|'.join(parameter['choices'])}"
    if parameter["default"] is None:
        return str(parameter["name"])
    return f"{parameter['name']}={parameter['default']}"


_LISTS: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
    "allocators": _allocators,
    "workloads": _workloads,
    "regions": _regions,
    "metrics": _metrics,
}
_TABLES: Mapping[str, Callable[[Sequence[Row]], str]] = {
    "allocators": _allocator_table,
    "workloads": lambda rows: _table(
        ("workload", "made of", "what it is"),
        [(r["name"], r["source"], r["description"]) for r in rows],
        (None, None, 76),
    ),
    "regions": lambda rows: _table(
        ("region", "what it is"), [(r["name"], r["missing"] or r["summary"]) for r in rows], (None, 100)
    ),
    "metrics": lambda rows: _table(
        ("metric", "unit", "better", "meaning"),
        [(r["name"], r["unit"], r["direction"], r["meaning"]) for r in rows],
        (None, None, None, 70),
    ),
}
