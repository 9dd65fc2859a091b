"""A verdict in words that blame nobody, for a choice between two allocators of which none is the other's base."""

from __future__ import annotations

from memtool.measure.metrics import METRICS
from memtool.model import Comparison, Judgement, Verdict
from memtool.stats.compare import STATUS, in_terms_of_change

_WORDS = {"ns": ("slower", "faster"), "B": ("more memory", "less memory")}
"""By the unit of a metric: what is worse, and what is better."""


def neutral_word(judged: Judgement) -> str:
    """Return ``slower`` for a regression in time, ``no slower`` or ``faster`` for a pass, and so on by the metric."""
    found = judged.comparison
    if found.metric == STATUS:
        return "fails" if judged.verdict is Verdict.REGRESSION else str(judged.verdict)
    worse, better = _WORDS.get(METRICS[found.metric].unit, ("worse", "better"))
    if judged.verdict is Verdict.REGRESSION:
        return worse
    if judged.verdict is Verdict.PASS:
        return better if is_better(found) else f"no {worse}"
    return str(judged.verdict)


def is_better(found: Comparison) -> bool:
    """Return whether the whole interval lies on the better side of no change, by more than the figures' error."""
    if found.low is None or found.high is None:
        return False
    error = in_terms_of_change(found.known_within, found)
    return found.low > error if METRICS[found.metric].direction == "higher" else found.high < -error
