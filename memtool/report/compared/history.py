"""A history in words and tables, or as a document in another form."""

from __future__ import annotations

import json
from collections.abc import Mapping

from memtool.measure.metrics import METRICS
from memtool.report import grid, look
from memtool.report.compared.judged_words import figure, percent
from memtool.stats.history import FALSE_ALARMS, LEAST_RUNS, Change, History, Series
from memtool.store import history_file
from memtool.units import plural

_LEFT = frozenset({"workload", "allocator", "metric", "since", "now"})


def render(history: History, style: str, width: int | None = None) -> str:
    """Return a history as one of ``formats.HISTORY``: text, memtool's own JSON, or the form of a service."""
    if style == "json":
        return _document(history_file.to_json(history))
    if style == "bencher":
        return _document(history_file.to_bencher(history))
    if style in ("customSmallerIsBetter", "customBiggerIsBetter"):
        direction = "lower" if style == "customSmallerIsBetter" else "higher"
        return _document(history_file.to_benchmark_action(history, direction))
    width = width if style == "table" else None
    names = groups(history)
    parts = [_answer(history)]
    if any(series.changes for series in history.series):
        parts += [_title("Changes", style), *_changes(history, names, style, width)]
        parts += _differences(history, style, width)
    parts += [_title("Series", style), *_all(history, names, style, width)]
    if names:
        lines = grid.listed((f"{name}: {words}" for words, name in names.items()), style, "  ")
        title = "Runs of other machines, settings or events are series of their own:"
        parts.append(f"{title}\n{grid.wrapped(lines, width)}")
    notes = [*_legend(history), *(f"Note: {note}" for note in history.notes)]
    return "\n\n".join([*parts, *(grid.wrapped(note, width) for note in notes)])


def _document(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def _title(words: str, style: str) -> str:
    return f"## {words}" if style == "markdown" else words


def _answer(history: History) -> str:
    first, last = history.runs[0].started[:10], history.runs[-1].started[:10]
    when = f"of {first}" if first == last else f"from {first} to {last}"
    changes = sum(len(series.changes) for series in history.series)
    count = "No change" if changes == 0 else plural(changes, "change")
    return f"{count} in {len(history.series):,} series of {plural(len(history.runs), 'run')} {when}."


def groups(history: History) -> dict[str, str]:
    """Return distinguishing properties of series with the same cell and metric -> the letter that stands for them."""
    result: dict[str, str] = {}
    for series in history.series:
        words = difference(history, series)
        if words and words not in result:
            result[words] = _letter(len(result))
    return result


def difference(history: History, series: Series) -> str:
    """Return the properties in which a series differs from others of the same cell and metric; empty: none."""
    others = [of.conditions for of in history.series if (of.cell, of.metric) == (series.cell, series.metric)]
    fields = dict.fromkeys(name for conditions in others for name in conditions)
    apart = [name for name in fields if len({conditions.get(name) for conditions in others}) > 1]
    return ", ".join(f"{name} {series.conditions.get(name, 'not recorded')}" for name in apart)


def _letter(index: int) -> str:
    turn, place = divmod(index, 26)
    return (_letter(turn - 1) if turn else "") + chr(ord("A") + place)


def _named(history: History, series: Series, names: Mapping[str, str]) -> list[str]:
    """Return workload, allocator and metric, followed by a letter where there are several such series."""
    cell = series.cell
    words = difference(history, series)
    letter = f" ({names[words]})" if words else ""
    return [cell.workload, look.name_of(cell.allocator, cell.region, cell.mode) + letter, series.metric]


def _changes(history: History, names: Mapping[str, str], style: str, width: int | None) -> list[str]:
    headings = ["workload", "allocator", "metric", "since", "before", "after", "change", "runs", "now"]
    rows = [
        [
            *_named(history, series, names),
            history.runs[series.points[change.at].run].started[:16].replace("T", " "),
            figure(series.metric, change.before),
            figure(series.metric, change.after),
            amount(series, change),
            f"{change.runs_before} + {change.runs_after}",
            change.word,
        ]
        for series in history.series
        for change in series.changes
    ]
    return grid.table(headings, rows, style, left=_LEFT, keys=2, width=width)


def amount(series: Series, change: Change) -> str:
    """Return the change of a series: a percentage, or points of a share."""
    if METRICS[series.metric].is_share:
        return f"{100 * (change.after - change.before):+.2f} points"
    return "from 0" if change.change is None else percent(change.change)


def _differences(history: History, style: str, width: int | None) -> list[str]:
    """Return what else changed where figures did, once each."""
    lines = dict.fromkeys(
        f"{history.runs[series.points[change.at].run].started[:16].replace('T', ' ')}: {words}"
        for series in history.series
        for change in series.changes
        for words in change.differs
    )
    if not lines:
        return []
    return [f"New at the same time:\n{grid.wrapped(grid.listed(sorted(lines), style, '  '), width)}"]


def _all(history: History, names: Mapping[str, str], style: str, width: int | None) -> list[str]:
    headings = ["workload", "allocator", "metric", "runs", "first", "least", "largest", "newest"]
    rows = []
    for series in history.series:
        values = [point.value for point in series.points]
        ends = (values[0], min(values), max(values), values[-1])
        rows.append(
            [
                *_named(history, series, names),
                f"{len(values):,}",
                *(figure(series.metric, value) for value in ends),
            ]
        )
    return grid.table(headings, rows, style, left=_LEFT, keys=2, width=width)


def _legend(history: History) -> list[str]:
    sampled = [series for series in history.series if not series.is_exact]
    long = sum(len(series.points) >= LEAST_RUNS for series in sampled)
    words = []
    if long:
        words.append(
            f"A sampled series changes where the runs before and after a date differ by more than chance explains. "
            f"In {100 * FALSE_ALARMS:.0f} of 100 series chance alone looks like a change; here are {long:,} with "
            f"{LEAST_RUNS} runs or more."
        )
    if len(sampled) > long:
        short = len(sampled) - long
        words.append(
            f"Changes are not looked for in sampled series of fewer than {LEAST_RUNS} runs; here are {short:,}."
        )
    if len(sampled) < len(history.series):
        words.append("An exact figure has changed where it differs from the run before.")
    return words
