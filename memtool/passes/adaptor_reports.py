"""Adaptors' reports on a replay, in sentences. The engine writes them as JSON; see allocators/adaptors/*.hpp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memtool.units import format_count, format_size

_MOST_GROUPS = 5
_LEAST_SHARE = 0.01
"""Sizes with a smaller share of all allocations are left out of the sentence."""


def sentences(report: Mapping[str, Any]) -> list[str]:
    """Return one line for each adaptor with a report."""
    return [_SENTENCES[name](figures) for name, figures in report.items()]


def _leak(figures: Mapping[str, Any]) -> str:
    if figures["blocks"] == 0:
        return "leak: nothing is live at the end"
    groups: Sequence[Mapping[str, Any]] = figures["groups"][:_MOST_GROUPS]
    named = ", ".join(_group(group) for group in groups)
    more = figures["sizes"] - len(groups)
    rest = f", and {format_count(more)} further sizes" if more > 0 else ""
    blocks = "block" if figures["blocks"] == 1 else "blocks"
    return (
        f"leak: {format_count(figures['blocks'])} {blocks} of {format_size(figures['bytes'])} live at the end: "
        f"{named}{rest}"
    )


def _group(group: Mapping[str, Any]) -> str:
    operations = ", ".join(format_count(operation) for operation in group["operations"])
    further = ", …" if group["blocks"] > len(group["operations"]) else ""
    word = "operation" if group["blocks"] == 1 else "operations"
    caller = f", called from {group['caller']}" if "caller" in group else ""
    return f"{format_count(group['blocks'])} × {format_size(group['size'])} ({word} {operations}{further}{caller})"


def _track(figures: Mapping[str, Any]) -> str:
    def count(name: str) -> str:
        return format_count(figures[name])

    parts = [
        f"{count('allocations')} allocations ({count('zeroed')} zeroed) of {format_size(figures['total_bytes'])}",
        f"{count('frees')} frees",
        f"{count('ended_by_scope')} ended by their scope",
        f"{count('reallocations')} reallocations ({count('moved')} moved)",
        f"{count('refused')} refused",
        f"peak {format_size(figures['peak_live_bytes'])} in {count('peak_live_blocks')} blocks",
    ]
    parts_not_zero = [part for part in parts if not part.startswith("0 ")]
    total = max(figures["allocations"], 1)
    shares = [
        f"{format_size(int(size))} {number / total:.0%}"
        for size, number in figures["sizes"].items()
        if number / total >= _LEAST_SHARE
    ]
    callers = [
        f"{caller['caller']} ({format_size(caller['bytes'])} in {format_count(caller['allocations'])})"
        for caller in figures.get("callers", ())[:_MOST_GROUPS]
    ]
    sizes = f"; sizes up to {', '.join(shares)}" if shares else ""
    return f"track: {', '.join(parts_not_zero)}{sizes}" + (f"; most bytes for {', '.join(callers)}" if callers else "")


_SENTENCES = {"leak": _leak, "track": _track}
