"""Every result as text, in each of its formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from memtool import formats
from memtool.errors import InputError, refuse_unknown
from memtool.model import Report, Run
from memtool.report import limits, selection, tables
from memtool.report.compared import by_machine, history, verdicts
from memtool.stats.by_machine import Machines
from memtool.stats.history import History
from memtool.stats.limits import Limits

_RENDERERS: dict[type, tuple[tuple[str, ...], Callable[[Any, str, int | None], str]]] = {
    Run: ((*formats.RUN, formats.SAMPLES), tables.render),
    Limits: (formats.RUN, limits.render),
    Report: (formats.COMPARISON, verdicts.render),
    History: (formats.HISTORY, history.render),
    Machines: (formats.MACHINES, by_machine.render),
}


def render(
    result: Run | Limits | Report | History | Machines,
    style: str,
    width: int | None = None,
    metrics: Sequence[str] | None = None,
) -> str:
    """Return a result as text; see ``memtool.api.render``."""
    known, write = _RENDERERS[type(result)]
    refuse_unknown(style, known, "format", "style")
    if width is not None and width < 1:
        raise InputError(f"must be at least 1, is {width}", field="width")
    if isinstance(result, Run) and metrics is not None:
        return tables.render(result, style, width, (selection.sheet_of(metrics),))
    return write(result, style, width)
