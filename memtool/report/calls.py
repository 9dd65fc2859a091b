"""How rows were called, as a code for a column and in words: every time includes the call, which differs by row."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from memtool.model import Call, CellResult
from memtool.report import look
from memtool.stats.words import AS_MALLOC, mixture

HEADING = "call"
_TIMED = frozenset({"time_per_op_ns", "instructions_per_op"})
_ROUTES = {
    "inlined": ("inl", "inlined into the loop"),
    "pointer": ("ptr", "through a pointer"),
    "linker": ("link", "through the dynamic linker"),
}
_FREES = {
    "sized": ("size", "pointer and size"),
    "bare": ("bare", "only the pointer"),
    "header": ("head", "only the pointer; a header before the block holds the size"),
    "collected": ("gc", "there is no free: a collector finds dead objects"),
}
_THREADS = {"one": "1", "any": "any"}


def code(call: Call) -> str:
    """Return the column's text: ``inl size 1``, ``link bare any``."""
    return f"{_ROUTES[call.route][0]} {_FREES[call.free][0]} {_THREADS[call.threads]}"


def legend(cells: Sequence[CellResult]) -> list[str]:
    """Explain the codes of these cells, and whether their ranks are comparable; yield nothing if there are none."""
    timed = [cell for cell in cells if _TIMED & cell.metrics.keys()]
    calls = list(dict.fromkeys(call for cell in timed if (call := cell.call) is not None))
    if not calls:
        return []
    routes = [f"{short} = {words}" for name, (short, words) in _ROUTES.items() if any(c.route == name for c in calls)]
    frees = [f"{short} = {words}" for name, (short, words) in _FREES.items() if any(c.free == name for c in calls)]
    line = (
        f"call: how operations are called ({', '.join(routes)}), what a free receives ({', '.join(frees)}), "
        "and how many threads may call at a time."
    )
    return [line, *mixture(timed)]


def caption(cells: Sequence[CellResult], width: int) -> str:
    """Return the caption about calls for a picture of these cells, in lines of this many characters.

    It is empty if all were called alike by default; otherwise it names the cells that were called in each way.
    """
    called = {look.label(cell): call for cell in cells if _is_timed(cell) and (call := cell.call)}
    calls = list(dict.fromkeys(called.values()))
    if calls and all(call.as_malloc for call in calls):
        return AS_MALLOC
    if len(calls) < 2:
        return ""
    groups = [(call, ", ".join(name for name, of in called.items() if of == call)) for call in calls]
    lines = (textwrap.fill(f"called {_words(call)}: {names}", width, break_on_hyphens=False) for call, names in groups)
    return "\n".join(lines)


def _is_timed(cell: CellResult) -> bool:
    """Return whether a cell has any figure that includes the call, latencies included."""
    return any(name in _TIMED or name.endswith("_ns") for name in cell.metrics)


def _words(call: Call) -> str:
    frees = {
        "sized": "size at the free",
        "bare": "bare pointer at the free",
        "header": "size kept in a header",
        "collected": "no free",
    }
    threads = "one thread" if call.threads == "one" else "any thread"
    return f"{_ROUTES[call.route][1]}, {frees[call.free]}, {threads}"
