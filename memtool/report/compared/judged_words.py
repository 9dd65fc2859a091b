"""Judgements in words: which figure of which cell, how much it changed, and how reliably."""

from __future__ import annotations

from dataclasses import replace

from memtool.measure.metrics import METRICS
from memtool.model import Basis, Comparison, Judgement
from memtool.report import look
from memtool.stats.compare import STATUS
from memtool.stats.paired import MOST_BLOCKS


def sentence(judged: Judgement) -> str:
    """Return which figure of which cell, how much, and why, in one line without the verdict."""
    comparison = judged.comparison
    where = f"{comparison.workload} · {who(comparison)}"
    if comparison.metric == STATUS:
        return f"{where}: {judged.reason}"
    parts = [f"{where} · {comparison.metric}"]
    if comparison.basis is Basis.NONE:
        return f"{parts[0]}: {judged.reason}"
    figures = (
        f"{figure(comparison.metric, comparison.base_value)} -> {figure(comparison.metric, comparison.head_value)}"
    )
    details = [change(comparison)]
    if (
        comparison.basis is Basis.EXACT
        and comparison.is_ratio
        and comparison.base_value is not None
        and comparison.head_value is not None
    ):
        details.insert(0, signed(comparison.metric, comparison.head_value - comparison.base_value))
    if (
        comparison.basis in (Basis.PAIRED, Basis.UNPAIRED)
        and comparison.low is not None
        and not _is_one_count(comparison)
    ):
        noun = "pairs" if comparison.basis is Basis.PAIRED else "samples"
        details.append(f"95 % {interval(comparison)}, {comparison.samples} {noun}")
    if judged.limit is not None:
        details.append(f"limit {limit(judged)}")
    text = f"{parts[0]}: {figures} ({', '.join(details)})"
    return f"{text}: {judged.reason}" if judged.reason else text


def who(comparison: Comparison) -> str:
    """Return the allocator, its cell, and the base of the comparison."""
    against = "" if comparison.base == comparison.head else f" against {comparison.base}"
    return look.name_of(f"{comparison.head}{against}", comparison.region, comparison.mode)


def _is_one_count(comparison: Comparison) -> bool:
    """Return whether two counts of instructions are compared, so that there is no interval."""
    return METRICS[comparison.metric].scope == "code" and comparison.basis is Basis.UNPAIRED and comparison.samples == 1


def over_hosts(comparison: Comparison) -> str:
    """Return the interval for other machines of the kind, and the number of machines behind it; empty for one."""
    if not comparison.hosts:
        return ""
    count = len(set(comparison.hosts))
    if comparison.hosts_low is None or comparison.hosts_high is None:
        return f"n/a ({count} host)"
    within = interval(replace(comparison, low=comparison.hosts_low, high=comparison.hosts_high))
    return f"{within} ({count} hosts)"


def figure(metric: str, value: float | None) -> str:
    """Return a figure of a metric without its unit, unless it is milliseconds."""
    if value is None or metric == STATUS:
        return ""
    unit = METRICS[metric].written_unit
    if METRICS[metric].is_share:
        return f"{100 * value:.2f} %"
    if unit == "B" or (not unit and float(value).is_integer() and abs(value) >= 10):
        return f"{value:,.0f}"
    if METRICS[metric].in_milliseconds:
        return f"{value / 1e6:,.2f} ms"
    return f"{value:,.2f}" if unit else f"{value:.4f}"


def signed(metric: str, difference: float) -> str:
    """Return a difference of a metric with its sign and unit."""
    if METRICS[metric].is_share:
        return f"{100 * difference:+.2f} points"
    text = figure(metric, difference)
    unit = "" if text.endswith(" ms") else METRICS[metric].written_unit
    return f"{'' if text.startswith('-') else '+'}{text}{f' {unit}' if unit else ''}"


def percent(share: float) -> str:
    """Return a change with enough digits that a small one does not read as none."""
    percent = 100 * share
    size = abs(percent)
    if size == 0:
        return "0 %"
    digits = 1 if size >= 0.95 else 2 if size >= 0.095 else 4
    return f"{percent:+.{digits}f} %"


def change(comparison: Comparison) -> str:
    """Return how much a figure changed; empty where the change is not a number."""
    return "" if comparison.change is None or comparison.metric == STATUS else _amount(comparison, comparison.change)


def _amount(comparison: Comparison, amount: float) -> str:
    return percent(amount) if comparison.is_ratio else signed(comparison.metric, amount)


def interval(comparison: Comparison) -> str:
    """Return the interval of the change, or why there is none."""
    if comparison.metric == STATUS or comparison.basis is Basis.NONE:
        return ""
    if comparison.basis is Basis.EXACT:
        return "exact"
    if _is_one_count(comparison):
        return "one count"
    if comparison.low is None or comparison.high is None:
        return f"needs {6 if comparison.basis is Basis.PAIRED else 7} blocks"
    return f"{_amount(comparison, comparison.low)} to {_amount(comparison, comparison.high)}"


def limit(judged: Judgement) -> str:
    """Return the change from which a figure fails."""
    assert judged.limit is not None
    if judged.limit == 0:
        return "0"
    return _amount(judged.comparison, judged.limit).removeprefix("+")


def detectable(judged: Judgement) -> str:
    """Return the smallest change that the samples could have detected."""
    return "" if judged.smallest_detectable is None else _amount(judged.comparison, judged.smallest_detectable)


def needed(judged: Judgement) -> str:
    """Return how many blocks could have detected the limit."""
    if judged.smallest_detectable is None:
        return ""
    # A number of blocks beyond the maximum of --blocks is no useful advice.
    is_sayable = judged.blocks_needed is not None and judged.blocks_needed <= MOST_BLOCKS
    return f"{judged.blocks_needed:,}" if is_sayable else f"> {MOST_BLOCKS:,}"
