"""The text above and below the tables of a whole program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memtool.model import CellResult, TraceInfo
from memtool.units import plural

_AROUND = {
    "input": "standard input from",
    "output": "standard output to",
    "setup": "once before",
    "prepare": "before each run",
    "conclude": "after each run",
    "cleanup": "once after",
    "ready": "ready when",
    "load": "timed: its load",
}


def heading(info: TraceInfo) -> str:
    """Return the command that was run, and those around it."""
    said: Mapping[str, Any] = info.program or {}
    by = f" (by {said['run_by']})" if "run_by" in said else ""
    lines = [f"{info.name}: the whole program, one run a sample{by}: {said.get('command', '?')}"]
    around = [f"{words} {said[key]}" for key, words in _AROUND.items() if said.get(key)]
    if said.get("warmup"):
        around.append(f"{plural(said['warmup'], 'run')} of each allocator before, not measured")
    if said.get("expects_same_output"):
        around.append("output expected to be the same under every allocator")
    return "\n".join([*lines, *(["; ".join(around)] if around else [])])


def remarks(cells: Sequence[CellResult], info: TraceInfo) -> Iterator[str]:
    """Yield how exact the peak of several processes is; nothing for a single process, where it is exact."""
    most = max((metric.value or 0 for cell in cells if (metric := cell.metrics.get("tree_processes"))), default=0)
    if most > 1:
        yield (
            "Peak of several processes: the most that looks at the whole tree saw (each page once, by proportional set "
            "sizes), and at least the kernel's own mark of the largest process. A peak between two looks is not seen."
        )
