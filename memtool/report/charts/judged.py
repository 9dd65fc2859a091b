"""Comparisons around the margin: the change, its interval, and the limit by which it is judged."""

from __future__ import annotations

from collections.abc import Sequence

from memtool.model import Judgement, Verdict
from memtool.report import look, palette
from memtool.report.charts.record import Change, Changes
from memtool.report.compared import judged_words
from memtool.stats.words import neutral_word


def changes(judgements: Sequence[Judgement], title: str, *, is_choice: bool) -> Changes | None:
    """Return the comparisons that are ratios, the smallest change first; None where there is none."""
    rows = [judged for judged in judgements if judged.comparison.is_ratio and judged.comparison.change is not None]
    rows.sort(key=lambda judged: judged.comparison.change or 0.0)
    if not rows:
        return None
    return Changes(
        "changes",
        title,
        tuple(_change(judged, is_choice) for judged in rows),
        "Bars are 95 % intervals; | is the limit.",
    )


def _change(judged: Judgement, is_choice: bool) -> Change:
    comparison = judged.comparison
    low, high = comparison.low, comparison.high
    word = "not gated" if judged.verdict is Verdict.SHOWN else str(judged.verdict)
    return Change(
        label=look.name_of(comparison.head, comparison.region),
        what=comparison.metric,
        change=100 * (comparison.change or 0.0),
        low=None if low is None else 100 * low,
        high=None if high is None else 100 * high,
        limit=None if judged.limit is None else 100 * judged.limit,
        verdict=neutral_word(judged) if is_choice and judged.verdict is not Verdict.SHOWN else word,
        colour=palette.VERDICTS[judged.verdict][0],
        words=judged_words.sentence(judged),
    )
