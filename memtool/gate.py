"""From comparisons and limits to verdicts: regression, pass or inconclusive, and the exit code of the contract.

The rules, and what they cost and find, are in docs/comparing.md and docs/adr/0010-gate.md.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal

from memtool.errors import (
    EXIT_INCOMPARABLE,
    EXIT_INCONCLUSIVE,
    EXIT_OK,
    EXIT_REGRESSION,
    InputError,
    did_you_mean,
)
from memtool.measure.metrics import METRICS, MetricInfo
from memtool.model import AGAIN, Basis, Comparison, Judgement, Mode, Verdict
from memtool.stats import paired
from memtool.stats.compare import STATUS, in_terms_of_change
from memtool.stats.summary import LEAST_SAMPLES
from memtool.units import format_size, parse_size

ALPHA = 0.05
"""How often a whole family of true nulls may give any regression, at most."""
DEFAULT_MARGIN = 0.02
_CODE_MARGIN = 0.005
"""For instruction counts, which scatter by thousandths at most."""
_TIMES_OF_CODE = ("time_per_op_ns", "cpu_ns_per_op")
"""What instructions stand for where a machine is too noisy for them."""
_MANY_BLOCKS = 99
"""Beyond which counting is the shorter way."""
FailOn = Literal["regression", "inconclusive"]
_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?(?:[eE]-?\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Limit:
    """By how much a metric may get worse."""

    amount: float
    is_share: bool
    """Of the base's value; else ``amount`` is in the metric's unit."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is gated, and how strictly."""

    metrics: tuple[str, ...]
    """Compared, in the order in which they are shown."""
    margin: float = DEFAULT_MARGIN
    limits: Mapping[str, Limit] = field(default_factory=dict)
    alpha: float = ALPHA
    named: frozenset[str] = frozenset()
    """Metrics that the user asked for, so that a gate which cannot judge one does not pass."""


def policy(metrics: Sequence[str] | None, margin: float, limits: Sequence[str]) -> Policy:
    """Return the policy of the command line's options. Raises InputError naming the option and what is allowed."""
    parsed = dict(parse_limit(each) for each in limits)
    names = list(metrics) if metrics is not None else [info.name for info in METRICS.values() if info.headline]
    for name in names:
        _refuse_unknown("--metric", name)
    names += [name for name in parsed if name not in names]
    named = frozenset(parsed if metrics is None else names)
    for name in parsed:
        if not _is_gated(METRICS[name]):
            raise InputError(f"--limit: {name} is shown and never gated (memtool list metrics)")
    return Policy(tuple(dict.fromkeys(names)), margin, parsed, named=named)


def parse_margin(text: str) -> float:
    """Return the share that ``2%`` means. Raises ValueError with one line."""
    match = _PERCENT.fullmatch(text)
    if match is None or not 0 <= float(match[1]) < 1000:
        raise ValueError(f"must be a percentage such as 2%, from 0% up, is '{text}'")
    return float(match[1]) / 100


def parse_limit(text: str) -> tuple[str, Limit]:
    """Return what ``allocate_p99_ns=10%`` or ``peak_footprint_bytes=0`` means. Raises InputError with one line."""
    name, equals, amount = (part.strip() for part in text.partition("="))
    if not equals:
        raise InputError(f"--limit: must be METRIC=X, such as peak_footprint_bytes=0 or time_per_op_ns=3%, is '{text}'")
    _refuse_unknown("--limit", name)
    if (percent := _PERCENT.fullmatch(amount)) is not None:
        return name, Limit(float(percent[1]) / 100, is_share=True)
    if (number := _NUMBER.fullmatch(amount)) is not None:
        return name, Limit(float(number[1]), is_share=False)
    unit = METRICS[name].written_unit
    if unit == "B":
        try:
            return name, Limit(float(parse_size(amount)), is_share=False)
        except ValueError:
            pass
    known = "10%, 4096 or 4KiB" if unit == "B" else f"10% or a number{f' in {unit}' if unit else ''}"
    raise InputError(f"--limit: {name}: must be {known}, is '{amount}'")


def _refuse_unknown(option: str, name: str) -> None:
    if name not in METRICS:
        meant = did_you_mean(name, METRICS) or "; memtool list metrics has all"
        raise InputError(f"{option}: unknown metric '{name}'{meant}")


def _is_gated(info: MetricInfo) -> bool:
    """Return whether a metric can be gated."""
    return info.gated and info.direction != "neither"


def _decides(name: str, rules: Policy) -> bool:
    """Return whether a metric is gated: what only explains others is where the user names it."""
    return _is_gated(METRICS[name]) and (not METRICS[name].is_cause or name in rules.named)


def judge(comparisons: Sequence[Comparison], rules: Policy) -> list[Judgement]:
    """Return what one look comes to: Holm over everything that is tested, at alpha, each way."""
    tested = [each for each in comparisons if _is_tested(each, rules)]
    return _by_test(comparisons, tested, rules, _one_look)


def screen(comparisons: Sequence[Comparison], rules: Policy) -> list[Judgement]:
    """Return what the first of two looks comes to: what passes has passed, what looks worse is a suspect.

    No regression comes of one look. Suspects are found at alpha each, unadjusted; ``confirm`` decides over them.
    """
    tested = [each for each in comparisons if _is_tested(each, rules)]
    return _by_test(comparisons, tested, rules, _first_look)


def confirm(screened: Sequence[Judgement], fresh: Sequence[Comparison], rules: Policy) -> list[Judgement]:
    """Return the verdicts after the suspects were measured on fresh blocks.

    The fresh blocks know nothing of how suspects were chosen, so Holm over the suspects alone holds alpha.
    """
    again = {_key(each): each for each in fresh}
    tested = [again[_key(each.comparison)] for each in screened if each.is_suspect and _key(each.comparison) in again]
    tested = [each for each in tested if _is_tested(each, rules)]
    second = {_key(each.comparison): each for each in _by_test(tested, tested, rules, _second_look)}
    judged = []
    for first in screened:
        found = second.get(_key(first.comparison))
        if not first.is_suspect:
            judged.append(first)
        elif found is None:
            failed = again.get((*_key(first.comparison)[:-1], STATUS))
            why = failed.why_not if failed is not None else "it was not measured a second time"
            judged.append(replace(first, reason=f"looked worse at first, and then: {why}"))
        else:
            judged.append(replace(found, first_look=first.comparison))
    broken = [each for each in fresh if each.metric == STATUS and each.basis is Basis.EXACT]
    return judged + [_judge_untested(each, rules) for each in broken]


def _key(comparison: Comparison) -> tuple[str, ...]:
    return (
        comparison.workload,
        comparison.region,
        comparison.mode,
        comparison.base,
        comparison.head,
        comparison.metric,
    )


def _is_tested(comparison: Comparison, rules: Policy) -> bool:
    """Return whether a sign test decides; known before any figure is, so the family does not depend on figures."""
    return (
        comparison.basis is Basis.PAIRED and _decides(comparison.metric, rules) and comparison.samples >= LEAST_SAMPLES
    )


@dataclass(frozen=True, slots=True)
class _Test:
    """One tested comparison, oriented so that more is worse."""

    comparison: Comparison
    limit: float
    worse: tuple[float, ...]
    worse_above: float
    """The limit in the terms of the effects, and where figures are known within so much only, that much beyond it."""
    fine_up_to: float
    """The limit, less what two samples of one allocator differ by; what lies between the two may be an error."""


_Decide = Callable[[_Test, float, float, float, int, Policy], Judgement]


def _by_test(
    comparisons: Sequence[Comparison], tested: Sequence[Comparison], rules: Policy, decide: _Decide
) -> list[Judgement]:
    tests = [_test(each, rules) for each in tested]
    raw = [paired.p_above(each.worse, each.worse_above) for each in tests]
    regressions = paired.holm(raw)
    passes = paired.holm([paired.p_not_above(each.worse, each.fine_up_to) for each in tests])
    judged = {
        _key(test.comparison): decide(test, p_raw, p_regression, p_pass, len(tests), rules)
        for test, p_raw, p_regression, p_pass in zip(tests, raw, regressions, passes, strict=True)
    }
    return [judged.get(_key(each)) or _judge_untested(each, rules) for each in comparisons]


def _test(comparison: Comparison, rules: Policy) -> _Test:
    limit = _limit(comparison, rules)
    sign = -1 if METRICS[comparison.metric].direction == "higher" else 1
    low, high = _unsure(comparison, limit)
    if comparison.is_ratio:
        # What is known within more than there is of it never passes by being smaller.
        low, high = math.log1p(low) if low > -1 else -math.inf, math.log1p(high)
    return _Test(comparison, limit, tuple(sign * effect for effect in comparison.effects), high, low)


def _unsure(comparison: Comparison, limit: float) -> tuple[float, float]:
    """Return between which changes figures do not say whether anything changed by more than the limit.

    What looks worse must be so whatever the error of both figures is. What does not is believed up to what the same
    allocator shows twice: otherwise nothing of less than 7 MiB would ever be found unchanged.
    """
    below, above = (
        in_terms_of_change(each, comparison) for each in (comparison.repeats_within, comparison.known_within)
    )
    return limit - below, limit + above


def _is_unsure(comparison: Comparison, limit: float) -> bool:
    """Return whether the change is one that the error of the figures alone may make or hide."""
    low, high = _unsure(comparison, limit)
    return comparison.known_within > 0 and comparison.change is not None and low < comparison.change <= high


def _unsure_words(comparison: Comparison) -> str:
    return f"resident memory is known within {format_size(comparison.known_within)}"


def _limit(comparison: Comparison, rules: Policy) -> float:
    """Return the limit of a comparison: a share where it is a ratio, else in the metric's unit."""
    info = METRICS[comparison.metric]
    limit = rules.limits.get(comparison.metric)
    if limit is None:
        # Of one allocator and its own baseline; two allocators differ, and the margin says by how much they may.
        is_own = comparison.basis is Basis.EXACT and info.scope == "events" and comparison.base == comparison.head
        share = 0.0 if is_own else _CODE_MARGIN if info.scope == "code" else rules.margin
        limit = Limit(share, is_share=True)
    base = abs(comparison.base_value or 0.0)
    if comparison.is_ratio:
        return limit.amount if limit.is_share else limit.amount / base
    amount = limit.amount if info.is_share or not limit.is_share else limit.amount * base
    return max(amount, comparison.resolution) if comparison.at_floor else amount


def _one_look(test: _Test, _: float, p_regression: float, p_pass: float, family: int, rules: Policy) -> Judgement:
    level = rules.alpha / family
    judged = _with_power(test, level, paired.POWER, level)
    looked = _Look(p_regression, p_pass, level, level, family)
    return _decided(judged, test, looked, rules.alpha, rules.alpha)


def _first_look(test: _Test, p_raw: float, _: float, p_pass: float, family: int, rules: Policy) -> Judgement:
    """Half of alpha is for what passes here, half for suspects that pass on fresh blocks."""
    # A regression must be seen twice; each look may miss it with the root of what both may.
    pass_level = rules.alpha / 2 / family
    judged = _with_power(test, rules.alpha, math.sqrt(paired.POWER), pass_level)
    looked = _Look(p_raw, p_pass, rules.alpha, pass_level, family)
    return replace(_decided(judged, test, looked, None, rules.alpha / 2), is_suspect=p_raw <= rules.alpha)


def _second_look(test: _Test, _: float, p_regression: float, p_pass: float, family: int, rules: Policy) -> Judgement:
    level, pass_level = rules.alpha / family, rules.alpha / 2 / family
    judged = _with_power(test, level, math.sqrt(paired.POWER), pass_level)
    looked = _Look(p_regression, p_pass, level, pass_level, family)
    judged = _decided(judged, test, looked, rules.alpha, rules.alpha / 2)
    is_confirmed = judged.verdict is Verdict.REGRESSION
    return judged if is_confirmed else replace(judged, reason="looked worse at first, not confirmed")


def _with_power(test: _Test, level: float, power: float, pass_level: float) -> Judgement:
    """Return what so many blocks could find at a level, and how many would let what is unchanged pass at another."""
    detectable = paired.smallest_detectable(test.worse, test.worse_above, level, power)
    if detectable is not None and test.comparison.is_ratio:
        detectable = math.expm1(detectable)
    return Judgement(
        test.comparison,
        Verdict.INCONCLUSIVE,
        test.limit,
        smallest_detectable=detectable,
        # What has not changed lies at 0, which no number of blocks lets pass where the error is larger than the limit.
        blocks_needed=paired.blocks_needed(test.worse, test.fine_up_to, pass_level) if test.fine_up_to >= 0 else None,
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look found, and how small a p-value of a single test has to be for it to decide."""

    p_regression: float
    p_pass: float
    regression_level: float
    pass_level: float
    family: int


def _decided(
    judged: Judgement, test: _Test, look: _Look, regression_alpha: float | None, pass_alpha: float
) -> Judgement:
    """Return the verdict of adjusted p-values; ``regression_alpha`` None: this look makes no regression."""
    judged = replace(judged, p_regression=look.p_regression, p_pass=look.p_pass)
    if regression_alpha is not None and look.p_regression <= regression_alpha:
        return replace(judged, verdict=Verdict.REGRESSION)
    if look.p_pass <= pass_alpha:
        return replace(judged, verdict=Verdict.PASS)
    return _undecided(judged, test, look)


def _undecided(judged: Judgement, test: _Test, look: _Look) -> Judgement:
    """Say why the pairs decide nothing, and how many of their kind would.

    The interval beside it is of this one comparison; the verdict holds for all tests together and asks for more.
    """
    samples = len(test.worse)
    least = max(paired.least_blocks(look.regression_level), paired.least_blocks(look.pass_level))
    if samples < least:
        return replace(
            judged, reason=f"{_count(samples)}; a verdict among so many needs {least}", blocks_to_decide=least
        )
    if _is_unsure(test.comparison, test.limit):
        return replace(judged, reason=_unsure_words(test.comparison))
    is_above = median(test.worse) > test.worse_above
    threshold = test.worse_above if is_above else test.fine_up_to
    above = sum(each > threshold for each in test.worse)
    pairs, side = (above, "beyond") if is_above else (samples - above, "within")
    p_value = look.p_regression if is_above else look.p_pass
    level = look.regression_level if is_above else look.pass_level
    needed = paired.blocks_to_decide(test.worse, threshold, level)
    among = f" (Holm over {look.family} tests)" if look.family > 1 and level != ALPHA else ""
    found = f"{pairs} of {samples} pairs {side} the limit, p = {p_value:.2g}{among}"
    if needed is None:
        more = "too near the limit for their scatter"
    elif needed > paired.MOST_BLOCKS:
        more = f"an effect like it takes more than {paired.MOST_BLOCKS} blocks"
    elif needed > samples:
        more = f"to decide an effect like it takes about {needed:,} blocks"
    else:
        more = f"four of five runs of {needed} blocks decide an effect like it, this one does not"
    return replace(judged, reason=f"{found}: {more}", blocks_to_decide=needed)


def _judge_untested(comparison: Comparison, rules: Policy) -> Judgement:
    """Return what a comparison comes to without a sign test."""
    if comparison.metric == STATUS:
        if comparison.basis is Basis.EXACT:
            return Judgement(comparison, Verdict.REGRESSION, 0.0, f"failed: {comparison.why_not}")
        return Judgement(comparison, Verdict.INCOMPARABLE, reason=comparison.why_not or "")
    if not _decides(comparison.metric, rules):
        is_possible = _is_gated(METRICS[comparison.metric])
        why = f"--metric {comparison.metric} gates it" if is_possible else "never gated"
        return Judgement(comparison, Verdict.SHOWN, reason=comparison.why_not or why)
    if comparison.basis is Basis.NONE:
        return Judgement(comparison, Verdict.INCOMPARABLE, reason=comparison.why_not or "")
    limit = _limit(comparison, rules)
    if comparison.basis is Basis.PAIRED:
        reason = f"{_count(comparison.samples)}; an interval needs {LEAST_SAMPLES}"
        return Judgement(comparison, Verdict.INCONCLUSIVE, limit, reason)
    if comparison.basis is Basis.EXACT or METRICS[comparison.metric].scope == "code":
        return _by_bounds(comparison, limit)
    if comparison.repeats_differ:
        reason = "exact on one side, and on the other not the same in two repeats (or measured once)"
        return Judgement(comparison, Verdict.INCONCLUSIVE, limit, reason)
    return Judgement(comparison, Verdict.ADVICE, limit, _advice(comparison, limit))


def _count(samples: int) -> str:
    return f"{samples} block" if samples == 1 else f"{samples} blocks"


def _worse(comparison: Comparison) -> tuple[float, float] | None:
    """Return the bounds of how much worse it got; negative: better."""
    if comparison.low is None or comparison.high is None:
        return None
    if METRICS[comparison.metric].direction != "higher":
        return comparison.low, comparison.high
    if comparison.is_ratio:
        return 1 / (1 + comparison.high) - 1, 1 / (1 + comparison.low) - 1
    return -comparison.high, -comparison.low


def _by_bounds(comparison: Comparison, limit: float) -> Judgement:
    """Judge what needs no statistics: it is beyond the limit, or it is not."""
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
    fine_up_to, worse_above = _unsure(comparison, limit)
    if low > worse_above:
        return "looks worse; two runs cannot prove it"
    if high <= fine_up_to:
        return "looks no worse"
    if _is_unsure(comparison, limit):
        return _unsure_words(comparison)
    return "cannot be told from two runs"


def with_next_steps(
    judgements: Sequence[Judgement],
    arguments: Mapping[str, str],
    renew: str | None = None,
    named: Mapping[str, str] | None = None,
) -> list[Judgement]:
    """Return the judgements with what to run next.

    Args:
        judgements: as judged.
        arguments: workload -> how it is named on the command line, quoted.
        renew: the command that takes these figures as the new baseline, where there is one.
        named: allocator -> how it is named on the command line, of those that the user gave a name.
    """
    return [replace(each, next_step=_next_step(each, arguments, renew, named or {})) for each in judgements]


def _next_step(judged: Judgement, arguments: Mapping[str, str], renew: str | None, named: Mapping[str, str]) -> str:
    found = judged.comparison
    workload = arguments.get(found.workload, shlex.quote(found.workload))
    again = found.head.endswith(AGAIN) or found.base.endswith(AGAIN)
    labels = (each.removesuffix(AGAIN) for each in (found.base, found.head))
    names = [named.get(each, each) for each in labels]
    base, head = (shlex.quote(each) for each in names)
    where = "" if found.region == "anonymous" else f" --region {found.region}"
    where += "" if found.mode == Mode.SERIAL else f" --mode {found.mode}"
    if judged.verdict is Verdict.REGRESSION:
        if found.metric == STATUS:
            return f"memtool bench {workload} -a {head}{where} --blocks 1"
        allocators = head if base == head or again else shlex.quote(",".join(names))
        look = f"memtool bench {workload} -a {allocators}{where} --passes {METRICS[found.metric].measured_by}"
        return f"{look}; if it is meant: {renew}" if renew else look
    if judged.verdict is Verdict.ADVICE:
        return f"memtool check {workload} --against {base} --candidate {head}{where}"
    if judged.verdict is Verdict.INCONCLUSIVE and found.basis is Basis.PAIRED:
        if found.samples < LEAST_SAMPLES:
            return f"memtool check {workload} --against {base} --candidate {head}{where}"
        if judged.limit is not None and _is_unsure(found, judged.limit):
            return f"a workload that needs more memory, or a wider --limit {found.metric}=X"
        needed = judged.blocks_to_decide
        if needed is not None and needed <= found.samples:
            needed = 2 * found.samples + 1
        more = f"--blocks {needed}" if needed is not None and needed <= paired.MOST_BLOCKS else "a quieter machine"
        counted = ""
        is_noisy = needed is None or needed > _MANY_BLOCKS
        if is_noisy and found.metric in _TIMES_OF_CODE and found.mode == Mode.SERIAL:
            counted = f", or counted instructions, which no noise moves: memtool check {workload} --against {base} "
            counted += f"--candidate {head}{where} --metric instructions_per_op"
        return f"{more}, or a wider --limit {found.metric}=X%{counted}"
    return ""


def unjudged(judgements: Sequence[Judgement], rules: Policy) -> list[str]:
    """Return what a gate was to judge and could not, in words: it must not pass as if it had.

    A figure may be incomparable because the machine differs, as long as others of its cell decide.
    """
    lines = []
    cells: dict[tuple[str, ...], list[Judgement]] = {}
    for each in judgements:
        cells.setdefault(_key(each.comparison)[:-1], []).append(each)
    for found in cells.values():
        gated = [each for each in found if each.verdict is not Verdict.SHOWN]
        lost = [each for each in gated if _is_lost(each)]
        if not lost and gated and all(each.verdict is Verdict.INCOMPARABLE for each in gated):
            lost = [each for each in gated if each.comparison.metric != STATUS][:1]
        lines += [_unjudged_line(each) for each in lost]
    judged = {each.comparison.metric for each in judgements}
    ran = any(each.comparison.metric != STATUS for each in judgements)
    missing = sorted(rules.named - judged) if ran else ()
    return lines + [f"{name}: nothing that was compared has a figure of it" for name in missing]


def _is_lost(judged: Judgement) -> bool:
    if judged.verdict is Verdict.INCOMPARABLE:
        return judged.comparison.is_required
    # Its second look did not happen.
    return judged.is_suspect and judged.first_look is None and judged.verdict is Verdict.INCONCLUSIVE


def _unjudged_line(judged: Judgement) -> str:
    found = judged.comparison
    against = "" if found.base == found.head else f" against {found.base}"
    metric = "" if found.metric == STATUS else f" · {found.metric}"
    return f"{found.workload} · {found.head}{against}{metric}: {judged.reason}"


def exit_code(judgements: Sequence[Judgement], fail_on: FailOn | None, unjudged: Sequence[str] = ()) -> int:
    """Return the exit code of the contract. ``fail_on`` None: verdicts are shown, and only their absence fails.

    ``unjudged``: what was to be judged and could not be. Nothing passes then, but a regression is still one.
    """
    # Something that is never gated, and could not be compared either, is no comparison.
    verdicts = {
        each.verdict
        for each in judgements
        if each.verdict is not Verdict.SHOWN or each.comparison.basis is not Basis.NONE
    }
    decided = {Verdict.REGRESSION, Verdict.PASS, Verdict.INCONCLUSIVE}
    if not verdicts & (decided if fail_on is not None else decided | {Verdict.ADVICE, Verdict.SHOWN}):
        return EXIT_INCOMPARABLE
    if fail_on is not None and Verdict.REGRESSION in verdicts:
        return EXIT_REGRESSION
    if fail_on is not None and unjudged:
        return EXIT_INCOMPARABLE
    if fail_on == "inconclusive" and Verdict.INCONCLUSIVE in verdicts:
        return EXIT_INCONCLUSIVE
    return EXIT_OK


def family_of(comparisons: Sequence[Comparison], rules: Policy) -> int:
    """Return how many comparisons share alpha."""
    return sum(_is_tested(each, rules) for each in comparisons)


def too_few_blocks(blocks: int, pairs: int, rules: Policy, *, looks: int) -> str | None:
    """Return before anything is measured why so many blocks cannot decide, in words; None: they can.

    Args:
        blocks: of each side.
        pairs: of cells that are compared.
        rules: of which the metrics that are sampled count. Those that repeats will show to be exact count too, so the
            number of blocks is on the safe side.
        looks: 2 where what looks worse is measured again.
    """
    sampled = [name for name in rules.metrics if _decides(name, rules) and METRICS[name].scope == "job"]
    family = pairs * len(sampled)
    if not family:
        return None
    least = max(LEAST_SAMPLES, paired.least_blocks(rules.alpha / looks / family))
    if blocks >= least:
        return None
    tests = "one figure" if family == 1 else f"{family:,} figures together"
    return (
        f"{_count(blocks)} cannot decide: a verdict on {tests} needs --blocks {least} at least, however clear they are"
    )
