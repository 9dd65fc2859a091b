"""Sign tests of figures that are paired by block: the decisions of a single look and of two looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from memtool.gate.policy import ALPHA, Policy, limit_of
from memtool.gate.uncertainty import is_uncertain, uncertain_range, uncertainty_in_words
from memtool.measure.metrics import METRICS
from memtool.model import Comparison, Judgement, Verdict
from memtool.stats import paired

Key = tuple[str, ...]


def blocks_in_words(samples: int) -> str:
    """Return ``1 block`` or ``9 blocks``."""
    return f"{samples} block" if samples == 1 else f"{samples} blocks"


def key_of(comparison: Comparison) -> Key:
    """Return the key that identifies a comparison in a report; all but the last part is its cell."""
    return (
        comparison.workload,
        comparison.region,
        comparison.mode,
        comparison.base,
        comparison.head,
        comparison.metric,
    )


@dataclass(frozen=True, slots=True)
class _Test:
    """One tested comparison, oriented so that more is worse."""

    comparison: Comparison
    limit: float
    worse: tuple[float, ...]
    worse_above: float
    """The limit on the scale of the effects, extended by the error of the figures where they have one."""
    fine_up_to: float
    """The limit minus the difference of two samples of one allocator; effects between the two may be an error."""


def _oriented(comparison: Comparison, rules: Policy) -> _Test:
    limit = limit_of(comparison, rules)
    sign = -1 if METRICS[comparison.metric].direction == "higher" else 1
    low, high = uncertain_range(comparison, limit)
    if comparison.is_ratio:
        # A figure whose error exceeds its value never passes by being smaller.
        low, high = math.log1p(low) if low > -1 else -math.inf, math.log1p(high)
    return _Test(comparison, limit, tuple(sign * effect for effect in comparison.effects), high, low)


Look = Callable[[_Test, float, float, float, int, Policy], Judgement]
"""Arguments: a test, its p-value, p-values of a regression and of a pass, the size of the family, and the rules."""


def tested_by(look: Look, tested: Sequence[Comparison], rules: Policy) -> dict[Key, Judgement]:
    """Return the decisions of a look about the comparisons with a sign test, with Holm over all of them."""
    tests = [_oriented(comparison, rules) for comparison in tested]
    raw = [paired.p_above(oriented.worse, oriented.worse_above) for oriented in tests]
    regressions = paired.holm(raw)
    passes = paired.holm([paired.p_not_above(oriented.worse, oriented.fine_up_to) for oriented in tests])
    return {
        key_of(test.comparison): look(test, p_raw, p_regression, p_pass, len(tests), rules)
        for test, p_raw, p_regression, p_pass in zip(tests, raw, regressions, passes, strict=True)
    }


def one_look(test: _Test, _: float, p_regression: float, p_pass: float, family: int, rules: Policy) -> Judgement:
    """Decide with the existing blocks: nothing is measured again."""
    level = rules.alpha / family
    judged = _with_power(test, level, paired.POWER, level)
    levels = _Levels(p_regression, p_pass, level, level, family)
    return _decided(judged, test, levels, rules.alpha, rules.alpha)


def first_look(test: _Test, p_raw: float, _: float, p_pass: float, family: int, rules: Policy) -> Judgement:
    """Half of alpha is for passes in this look, half for suspects that pass on fresh blocks."""
    # A regression must be seen twice, so each look may miss it with the square root of the total probability.
    pass_level = rules.alpha / 2 / family
    judged = _with_power(test, rules.alpha, math.sqrt(paired.POWER), pass_level)
    levels = _Levels(p_raw, p_pass, rules.alpha, pass_level, family)
    return replace(_decided(judged, test, levels, None, rules.alpha / 2), is_suspect=p_raw <= rules.alpha)


def second_look(test: _Test, _: float, p_regression: float, p_pass: float, family: int, rules: Policy) -> Judgement:
    """Decide about suspects on fresh blocks: a suspect that looks worse again is a regression."""
    level, pass_level = rules.alpha / family, rules.alpha / 2 / family
    judged = _with_power(test, level, math.sqrt(paired.POWER), pass_level)
    levels = _Levels(p_regression, p_pass, level, pass_level, family)
    judged = _decided(judged, test, levels, rules.alpha, rules.alpha / 2)
    is_confirmed = judged.verdict is Verdict.REGRESSION
    return judged if is_confirmed else replace(judged, reason="looked worse at first, not confirmed")


def _with_power(test: _Test, level: float, power: float, pass_level: float) -> Judgement:
    """Return the effect that the blocks detect at one level, and the blocks that let no change pass at another."""
    detectable = paired.smallest_detectable(test.worse, test.worse_above, level, power)
    if detectable is not None and test.comparison.is_ratio:
        detectable = math.expm1(detectable)
    return Judgement(
        test.comparison,
        Verdict.INCONCLUSIVE,
        test.limit,
        smallest_detectable=detectable,
        # An unchanged figure is at 0; no number of blocks lets it pass if the error is larger than the limit.
        blocks_needed=paired.blocks_needed(test.worse, test.fine_up_to, pass_level) if test.fine_up_to >= 0 else None,
    )


@dataclass(frozen=True, slots=True)
class _Levels:
    """The effects of a look, and the p-value of a single test with which it decides."""

    p_regression: float
    p_pass: float
    regression_level: float
    pass_level: float
    family: int


def _decided(
    judged: Judgement, test: _Test, levels: _Levels, regression_alpha: float | None, pass_alpha: float
) -> Judgement:
    """Return the verdict for adjusted p-values; ``regression_alpha`` None: this look makes no regression."""
    judged = replace(judged, p_regression=levels.p_regression, p_pass=levels.p_pass)
    if regression_alpha is not None and levels.p_regression <= regression_alpha:
        return replace(judged, verdict=Verdict.REGRESSION)
    if levels.p_pass <= pass_alpha:
        return replace(judged, verdict=Verdict.PASS)
    return _undecided(judged, test, levels)


def _undecided(judged: Judgement, test: _Test, levels: _Levels) -> Judgement:
    """Explain why the pairs decide nothing, and how many pairs of their kind would.

    The interval beside it is of this comparison alone; the verdict holds for all tests together and requires more.
    """
    samples = len(test.worse)
    least = max(paired.least_blocks(levels.regression_level), paired.least_blocks(levels.pass_level))
    if samples < least:
        return replace(
            judged, reason=f"{blocks_in_words(samples)}; a verdict among so many needs {least}", blocks_to_decide=least
        )
    if is_uncertain(test.comparison, test.limit):
        return replace(judged, reason=uncertainty_in_words(test.comparison))
    is_above = median(test.worse) > test.worse_above
    threshold = test.worse_above if is_above else test.fine_up_to
    above = sum(effect > threshold for effect in test.worse)
    pairs, side = (above, "beyond") if is_above else (samples - above, "within")
    p_value = levels.p_regression if is_above else levels.p_pass
    level = levels.regression_level if is_above else levels.pass_level
    needed = paired.blocks_to_decide(test.worse, threshold, level)
    among = f" (Holm over {levels.family} tests)" if levels.family > 1 and level != ALPHA else ""
    evidence = f"{pairs} of {samples} pairs {side} the limit, p = {p_value:.2g}{among}"
    if needed is None:
        more = "too near the limit for their scatter"
    elif needed > paired.MOST_BLOCKS:
        more = f"an effect like it takes more than {paired.MOST_BLOCKS} blocks"
    elif needed > samples:
        more = f"to decide an effect like it takes about {needed:,} blocks"
    else:
        more = f"four of five runs of {needed} blocks decide an effect like it, this one does not"
    return replace(judged, reason=f"{evidence}: {more}", blocks_to_decide=needed)
