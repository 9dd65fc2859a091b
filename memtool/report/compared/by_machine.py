"""The effect of a change on each group of equal machines, as a table that shows where it does harm."""

from __future__ import annotations

import json
from dataclasses import asdict

from memtool.report import grid, look
from memtool.report.compared import judged_words
from memtool.stats.by_machine import ByMachine, Machines, OnGroup

SCHEMA = "memtool.machines.v1"
_HEADINGS = ("metric", "allocator", "machine", "change", "95 % interval", "over hosts", "hosts", "pairs")
_LEFT = frozenset({"metric", "allocator", "machine", "95 % interval", "over hosts"})


def render(machines: Machines, style: str, width: int | None = None) -> str:
    """Return the table as ``table``, ``markdown`` or ``json``."""
    if style == "json":
        return json.dumps({"schema": SCHEMA, **asdict(machines)}, indent=1, allow_nan=False)
    width = width if style == "table" else None
    parts = []
    for workload in dict.fromkeys(row.workload for row in machines.rows):
        title = f"{workload}: against {machines.reference}, by machine"
        parts.append(f"## {title}" if style == "markdown" else grid.wrapped(title, width))
        rows = [line for row in machines.rows if row.workload == workload for line in _lines(row)]
        parts += grid.table(_HEADINGS, rows, style, left=_LEFT, keys=3, width=width)
    differing = [words for row in machines.rows for words in _differing(row)]
    prose = [
        grid.listed(differing, style) or "No two groups are told apart.",
        grid.listed(filter(None, machines.groups.values()), style),
        "over hosts: what another host of the group would find, 95 %, the host a random effect (Student's t of the "
        "hosts' medians); all: of all hosts of the run together. 95 % interval: of the pairs that were taken. "
        "Groups are told apart by Welch's test of their hosts' medians, Holm over all of them, alpha 0.05; that takes "
        "two hosts each.",
    ]
    return "\n\n".join(part for part in (*parts, *(grid.wrapped(text, width) for text in prose)) if part)


def _lines(row: ByMachine) -> list[list[str]]:
    lines = [_line(row, on) for on in row.on]
    over = row.over_all
    if len(row.on) > 1 and over is not None:
        bounds = _between(row, over.low, over.high, f"n/a ({over.hosts} host)")
        lines.append(["", "", "all", _amount(row, over.effect), "", bounds, str(over.hosts), ""])
    lines[0][:2] = [row.metric, look.name_of(row.head, row.region, row.mode)]
    return lines


def _line(row: ByMachine, on: OnGroup) -> list[str]:
    if on.change is None:
        return ["", "", on.group, f"n/a: {on.why_not}", "", "", "", ""]
    is_exact = on.low == on.high == on.change and not on.hosts
    bounds = "exact" if is_exact else _between(row, on.low, on.high, "needs 6 blocks")
    lacking = f"n/a ({on.hosts} host)" if on.hosts else ""
    over = _between(row, on.hosts_low, on.hosts_high, lacking)
    return ["", "", on.group, _amount(row, on.change), bounds, over, str(on.hosts or ""), str(on.pairs)]


def _between(row: ByMachine, low: float | None, high: float | None, otherwise: str) -> str:
    if low is None or high is None:
        return otherwise
    return f"{_amount(row, low)} to {_amount(row, high)}"


def _amount(row: ByMachine, amount: float) -> str:
    return judged_words.percent(amount) if row.is_ratio else judged_words.signed(row.metric, amount)


def _differing(row: ByMachine) -> list[str]:
    own = {on.group: on for on in row.on}
    return [
        f"{row.workload} · {row.head} · {row.metric}: {_amount(row, own[first].change or 0.0)} on machine {first}, "
        f"{_amount(row, own[second].change or 0.0)} on machine {second} (p = {p_value:.2g})"
        for first, second, p_value in row.differing
    ]
