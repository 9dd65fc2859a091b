"""The JSON of a history, schema memtool.history.v1, and the formats of two services that keep histories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from memtool import __version__
from memtool.measure.metrics import METRICS
from memtool.stats.history import History, Point, Series
from memtool.store import document
from memtool.store.descriptions import described

SCHEMA = "memtool.history.v1"
_STORED = document.form(History)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `memtool history --format json`."""
    schema = document.json_schema(History, "serialization")
    schema["properties"] = {"schema": {"const": SCHEMA}, "memtool": {"type": "string"}, **schema["properties"]}
    schema["required"] = list(schema["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described(schema), "title": SCHEMA}


def to_json(history: History) -> dict[str, Any]:
    """Return a history in the form of the schema."""
    return {"schema": SCHEMA, "memtool": __version__, **_STORED.dump_python(history, mode="json")}


def to_bencher(history: History) -> dict[str, Any]:
    """Return the newest figures as Bencher Metric Format: benchmark -> measure -> value and its interval."""
    result: dict[str, Any] = {}
    for series, point in _newest(history):
        bounds = {"lower_value": point.low, "upper_value": point.high}
        result.setdefault(_name(series), {})[series.metric] = {
            "value": point.value,
            **{name: bound for name, bound in bounds.items() if bound is not None},
        }
    return result


def to_benchmark_action(history: History, direction: str) -> list[dict[str, Any]]:
    """Return the newest figures of one direction, ``lower`` or ``higher``, in the form of github-action-benchmark."""
    return [
        {
            "name": f"{_name(series)} · {series.metric}",
            "unit": METRICS[series.metric].written_unit,
            "value": point.value,
            **({} if point.low is None or point.low == point.high else {"range": f"{point.low} to {point.high}"}),
            "extra": f"memtool {history.runs[point.run].memtool}\n{history.runs[point.run].started}",
        }
        for series, point in _newest(history)
        if METRICS[series.metric].direction == direction
    ]


def _newest(history: History) -> Iterator[tuple[Series, Point]]:
    """Yield the last figure of each series that includes the newest run of its workload."""
    last: dict[str, int] = {}
    for series in history.series:
        last[series.cell.workload] = max(last.get(series.cell.workload, 0), series.points[-1].run)
    yield from (
        (series, series.points[-1]) for series in history.series if series.points[-1].run == last[series.cell.workload]
    )


def _name(series: Series) -> str:
    cell = series.cell
    region = "" if cell.region == "anonymous" else f" on {cell.region}"
    mode = "" if cell.mode == "serial" else f", {cell.mode}"
    return f"{cell.workload} · {cell.allocator}{region}{mode}"
