"""Words for verdicts on a choice, where no allocator is the base of another, and for how rows were called."""

from __future__ import annotations

from collections.abc import Sequence

from memtool.measure.metrics import METRICS
from memtool.model import CellResult, Comparison, Judgement, Verdict
from memtool.stats.compare import STATUS, in_terms_of_change

AS_MALLOC = "Every row, including the harness, is called as a malloc is called."
MIXED = (
    "The rows are called in different ways, which affects their times, counts and ranks; "
    "`--as malloc` calls all rows in the same way."
)
_WORDS = {"ns": ("slower", "faster"), "B": ("more memory", "less memory")}
"""Unit of a metric -> the words for worse and for better."""


def neutral_word(judged: Judgement) -> str:
    """Return ``slower`` for a regression in time, ``no slower`` or ``faster`` for a pass, and so on by the metric."""
    comparison = judged.comparison
    if comparison.metric == STATUS:
        return "fails" if judged.verdict is Verdict.REGRESSION else str(judged.verdict)
    worse, better = _WORDS.get(METRICS[comparison.metric].unit, ("worse", "better"))
    if judged.verdict is Verdict.REGRESSION:
        return worse
    if judged.verdict is Verdict.PASS:
        return better if is_better(comparison) else f"no {worse}"
    return str(judged.verdict)


def is_better(comparison: Comparison) -> bool:
    """Return whether the whole interval is on the better side of no change, by more than the figures' error."""
    if comparison.low is None or comparison.high is None:
        return False
    error = in_terms_of_change(comparison.known_within, comparison)
    return comparison.low > error if METRICS[comparison.metric].direction == "higher" else comparison.high < -error


def mixture(cells: Sequence[CellResult]) -> list[str]:
    """Describe how the calls of these cells compare; nothing if all were called alike by default."""
    calls = {call for cell in cells if (call := cell.call) is not None}
    if calls and all(call.as_malloc for call in calls):
        return [AS_MALLOC]
    return [MIXED] if len(calls) > 1 else []
