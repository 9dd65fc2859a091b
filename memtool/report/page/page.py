"""The page of a report as a single HTML file that contains its styles, scripts and data and fetches nothing."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.resources import files as resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtool import files
from memtool.model import Report, Run
from memtool.report.charts.of_run import Detail
from memtool.report.charts.record import Bars, Changes, Chart, Heat, Lines, Strips
from memtool.report.look import Style
from memtool.report.page import content
from memtool.report.page.content import Content, Stored
from memtool.report.palette import GREY
from memtool.report.sheets import NOT_APPLICABLE, Figure

if TYPE_CHECKING:
    from jinja2 import Environment

_PLACE = resources("memtool.report.page")
MOST_BYTES = 3_000_000
_SCRIPTS = ("vendor/echarts.min.js", "vendor/dataTables.min.js", "static/options.js", "static/page.js")
_DIGITS = 4
"""Significant digits of figures in charts: as many as a screen shows."""
_MANY_ROWS, _MANY_COLUMNS = 40, 10
_LAST = 1e300
"""Sort key that places missing figures last in a column."""
_DASHES: Mapping[str, str | list[int]] = {"-": "solid", "--": "dashed", "-.": [8, 3, 2, 3], ":": "dotted"}
_SYMBOLS = {
    "o": "circle",
    "s": "rect",
    "^": "triangle",
    "D": "diamond",
    "v": "path://M0,0L10,0L5,10Z",
    "P": "path://M4,0L6,0L6,4L10,4L10,6L6,6L6,10L4,10L4,6L0,6L0,4L4,4Z",
    "X": "path://M2,0L5,3L8,0L10,2L7,5L10,8L8,10L5,7L2,10L0,8L3,5L0,2Z",
    "<": "path://M10,0L10,10L0,5Z",
    ">": "path://M0,0L10,5L0,10Z",
    "*": "path://M5,0L6.2,3.6L10,3.6L7,6L8.1,10L5,7.5L1.9,10L3,6L0,3.6L3.8,3.6Z",
    "h": "path://M2.5,0L7.5,0L10,5L7.5,10L2.5,10L0,5Z",
    "p": "path://M5,0L10,3.8L8.1,10L1.9,10L0,3.8Z",
}
"""matplotlib's markers (report/palette.py) -> those of ECharts."""
_OTHER = Style(GREY, "o", "-", "")
"""Of a line that is no allocator's."""


def write(path: Path, stored: Sequence[Stored], between: Sequence[Report] = ()) -> Path:
    """Write the report of these runs into a file atomically, and return its path.

    ``between`` compares each later run with the first. If the page would be larger than ``MOST_BYTES``, its charts get
    a lower resolution. Raises InputError where a series file is damaged.
    """
    detail = Detail.of(sum(bool(cell.metrics) for stored_run in stored for cell in stored_run.run.cells))
    while True:
        text = html(content.of_runs(stored, between, detail))
        if len(text.encode()) <= MOST_BYTES or detail == detail.less():
            return files.write_whole(path, text)
        detail = detail.less()


def fragment(run: Run) -> str:
    """Return the summary and the tables of a run as HTML without styles and scripts, for a notebook."""
    return _environment().get_template("static/fragment.html.j2").render(parts=content.tables_of(run))


def html(page: Content) -> str:
    """Return the page as HTML."""
    return (
        _environment()
        .get_template("static/report.html.j2")
        .render(
            page=page,
            css=_read("static/report.css"),
            scripts=[(name, _read(name)) for name in _SCRIPTS],
            styles=_styles(page),
            packed=_packed,
            drawn=_drawn,
            alternative=_alternative,
            licences=[(name, _read(f"vendor/{name}")) for name in _LICENCES],
        )
    )


def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader

    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"order": _order, "words": _in_a_line, "is_wide": _is_wide, "note": _note}
    return environment


_LICENCES = ("echarts.NOTICE", "dataTables.LICENSE")


def _read(name: str) -> str:
    return (_PLACE / name).read_text(encoding="utf-8")


def _styles(page: Content) -> str:
    styles = {"": _OTHER, **page.styles}
    return json.dumps({label: _style(style) for label, style in styles.items()}).replace("<", "\\u003c")


def _style(style: Style) -> dict[str, Any]:
    dash = _DASHES.get(style.line) if isinstance(style.line, str) else [2 * part for part in style.line[1]]
    return {"colour": style.colour, "symbol": _SYMBOLS[style.marker], "dash": dash}


def _packed(charts: Sequence[Chart]) -> str:
    """Return charts as compressed JSON in base64; the browser decompresses those that are scrolled into view."""
    text = json.dumps([_plain(chart) for chart in charts], separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")


def _plain(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return a record as JSON values: floats with few digits, and null for those that are not finite."""
    if isinstance(value, str | int) or value is None:
        return value
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    form = {"form": value.form} if hasattr(value, "form") else {}
    return form | {part.name: _plain(getattr(value, part.name)) for part in fields(value)}


def _in_a_line(heading: str) -> str:
    """Return the heading of a column without its line breaks and the hyphens that only these need."""
    return heading.replace("-\n", "").replace("\n", " ")


def _drawn(charts: Sequence[Chart]) -> list[str]:
    """Return the explanation of colours in these charts that have no name beside them."""
    return list(
        dict.fromkeys(
            line.label
            for chart in charts
            if isinstance(chart, Lines)
            for line in chart.lines
            if line.look == "allocator"
        )
    )


def _is_wide(chart: Chart) -> bool:
    """Return whether a chart needs the whole width of the page."""
    if isinstance(chart, Bars):
        return len(chart.bars) > _MANY_ROWS
    return isinstance(chart, Strips | Changes) or (isinstance(chart, Heat) and len(chart.x.categories) > _MANY_COLUMNS)


def _note(chart: Chart) -> str:
    """Return the text below a chart: the meaning of lines without an allocator, and its own note."""
    signs = {"floor": "Dotted", "area": "Grey"}
    lines = chart.lines if isinstance(chart, Lines) else ()
    common = [f"{signs[line.look]}: {line.label}." for line in lines if line.look in signs]
    return " ".join([*common, chart.note])


def _alternative(chart: Chart) -> str:
    """Return the alternative text of a chart: its subject, and where its figures are."""
    return f"{chart.title}. Its figures are in the table below it."


def _order(figure: Figure) -> str:
    """Return the sort key of a figure, where it differs from its text."""
    if figure.text == NOT_APPLICABLE:
        return f"{_LAST:g}"
    if figure.value is None:
        return ""
    try:
        return "" if float(figure.text) == figure.value else f"{figure.value:.{_DIGITS + 2}g}"
    except ValueError:
        return f"{figure.value:.{_DIGITS + 2}g}"
