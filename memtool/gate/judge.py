"""Decides verdicts from comparisons and limits: regression, pass or inconclusive.

docs/comparing.md and docs/adr/0010-gate.md explain the rules, their costs and their power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memtool.gate.looks import Look, blocks_in_words, first_look, key_of, one_look, second_look, tested_by
from memtool.gate.policy import Policy, decides, is_gated, limit_of
from memtool.gate.uncertainty import is_uncertain, uncertain_range, uncertainty_in_words
from memtool.measure.metrics import METRICS
from memtool.model import Basis, Comparison, Judgement, Verdict
from memtool.stats.compare import STATUS
from memtool.stats.summary import LEAST_SAMPLES


def judge(comparisons: Sequence[Comparison], rules: Policy) -> list[Judgement]:
    """Return the verdicts of a single look: Holm over everything that is tested, at alpha, in each direction."""
    return _by_look(comparisons, rules, one_look)


def screen(comparisons: Sequence[Comparison], rules: Policy) -> list[Judgement]:
    """Return the results of the first of two looks: passes are final, and apparent deteriorations are suspects.

    A single look makes no regression. Suspects are found at alpha each, unadjusted; ``confirm`` decides about them.
    """
    return _by_look(comparisons, rules, first_look)


def confirm(screened: Sequence[Judgement], fresh: Sequence[Comparison], rules: Policy) -> list[Judgement]:
    """Return the verdicts after the suspects were measured on fresh blocks.

    The fresh blocks are independent of the choice of suspects, so Holm over the suspects alone maintains alpha.
    """
    again = {key_of(comparison): comparison for comparison in fresh}
    suspects = [key_of(first.comparison) for first in screened if first.is_suspect]
    tested = [again[key] for key in suspects if key in again and _is_tested(again[key], rules)]
    second = tested_by(second_look, tested, rules)
    judged = []
    for first in screened:
        confirmed = second.get(key_of(first.comparison))
        if not first.is_suspect:
            judged.append(first)
        elif confirmed is None:
            failed = again.get((*key_of(first.comparison)[:-1], STATUS))
            why = failed.why_not if failed is not None else "it was not measured a second time"
            judged.append(replace(first, reason=f"looked worse at first, and then: {why}"))
        else:
            judged.append(replace(confirmed, first_look=first.comparison))
    broken = [comparison for comparison in fresh if comparison.metric == STATUS and comparison.basis is Basis.EXACT]
    return judged + [_judge_untested(comparison, rules) for comparison in broken]


def _by_look(comparisons: Sequence[Comparison], rules: Policy, look: Look) -> list[Judgement]:
    judged = tested_by(look, [comparison for comparison in comparisons if _is_tested(comparison, rules)], rules)
    return [judged.get(key_of(comparison)) or _judge_untested(comparison, rules) for comparison in comparisons]


def _is_tested(comparison: Comparison, rules: Policy) -> bool:
    """Return whether a sign test decides; known before any figure, so that the family does not depend on them."""
    return (
        comparison.basis is Basis.PAIRED and decides(comparison.metric, rules) and comparison.samples >= LEAST_SAMPLES
    )


def _judge_untested(comparison: Comparison, rules: Policy) -> Judgement:
    """Return the verdict of a comparison without a sign test."""
    if comparison.metric == STATUS:
        if comparison.basis is Basis.EXACT:
            return Judgement(comparison, Verdict.REGRESSION, 0.0, f"failed: {comparison.why_not}")
        return Judgement(comparison, Verdict.INCOMPARABLE, reason=comparison.why_not or "")
    if not decides(comparison.metric, rules):
        is_possible = is_gated(METRICS[comparison.metric])
        why = "gated where it is named only" if is_possible else "never gated"
        return Judgement(comparison, Verdict.SHOWN, reason=comparison.why_not or why)
    if comparison.basis is Basis.NONE:
        return Judgement(comparison, Verdict.INCOMPARABLE, reason=comparison.why_not or "")
    limit = limit_of(comparison, rules)
    if comparison.basis is Basis.PAIRED:
        reason = f"{blocks_in_words(comparison.samples)}; an interval needs {LEAST_SAMPLES}"
        return Judgement(comparison, Verdict.INCONCLUSIVE, limit, reason)
    if comparison.basis is Basis.EXACT or METRICS[comparison.metric].scope == "code":
        return _by_bounds(comparison, limit)
    if comparison.repeats_differ:
        reason = "exact on one side, and on the other not the same in two repeats (or measured once)"
        return Judgement(comparison, Verdict.INCONCLUSIVE, limit, reason)
    return Judgement(comparison, Verdict.ADVICE, limit, _advice(comparison, limit))


def _worse(comparison: Comparison) -> tuple[float, float] | None:
    """Return the bounds of the deterioration; negative: improvement."""
    if comparison.low is None or comparison.high is None:
        return None
    if METRICS[comparison.metric].direction != "higher":
        return comparison.low, comparison.high
    if comparison.is_ratio:
        return 1 / (1 + comparison.high) - 1, 1 / (1 + comparison.low) - 1
    return -comparison.high, -comparison.low


def _by_bounds(comparison: Comparison, limit: float) -> Judgement:
    """Judge a comparison that needs no statistics: it is beyond the limit, or it is not."""
    bounds = _worse(comparison)
    if bounds is None:
        return Judgement(comparison, Verdict.INCONCLUSIVE, limit, "not enough repeats")
    low, high = bounds
    if low > limit:
        return Judgement(comparison, Verdict.REGRESSION, limit)
    if high <= limit:
        return Judgement(comparison, Verdict.PASS, limit)
    return Judgement(comparison, Verdict.INCONCLUSIVE, limit, "repeats lie on both sides of the limit")


def _advice(comparison: Comparison, limit: float) -> str:
    bounds = _worse(comparison)
    if bounds is None:
        return f"{comparison.samples} samples; two runs need 7 each for an interval"
    low, high = bounds
    fine_up_to, worse_above = uncertain_range(comparison, limit)
    if low > worse_above:
        return "looks worse; two runs cannot prove it"
    if high <= fine_up_to:
        return "looks no worse"
    if is_uncertain(comparison, limit):
        return uncertainty_in_words(comparison)
    return "cannot be told from two runs"


def family_of(comparisons: Sequence[Comparison], rules: Policy) -> int:
    """Return the number of comparisons that share alpha."""
    return sum(_is_tested(comparison, rules) for comparison in comparisons)
