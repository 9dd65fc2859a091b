"""The policy of a gate: metrics, limits, margin and alpha."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from memtool.errors import InputError, did_you_mean
from memtool.measure.metrics import METRICS, MetricInfo
from memtool.model import Basis, Comparison
from memtool.units import parse_size

ALPHA = 0.05
"""Bound on the probability of any regression in a family in which nothing changed."""
DEFAULT_MARGIN = 0.02
_CODE_MARGIN = 0.005
"""For instruction counts, which vary by thousandths at most."""


_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?(?:[eE]-?\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Limit:
    """Allowed deterioration of a metric."""

    amount: float
    is_share: bool
    """Whether it is a share of the base's value; otherwise ``amount`` is in the metric's unit."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The compared metrics and the limits of their changes."""

    metrics: tuple[str, ...]
    """Compared metrics, in the order in which they are shown."""
    margin: float = DEFAULT_MARGIN
    limits: Mapping[str, Limit] = field(default_factory=dict)
    alpha: float = ALPHA
    named: frozenset[str] = frozenset()
    """Metrics that the user named; if the gate cannot judge one, it does not pass."""


def policy(metrics: Sequence[str] | None, margin: float, limits: Sequence[str]) -> Policy:
    """Return the policy of these metrics, margin and limits. Raises InputError naming the field and what is allowed."""
    parsed = dict(parse_limit(limit) for limit in limits)
    names = list(metrics) if metrics is not None else list(default_metrics())
    for name in names:
        _refuse_unknown("metrics", name)
    names += [name for name in parsed if name not in names]
    named = frozenset(parsed if metrics is None else names)
    for name in parsed:
        if not is_gated(METRICS[name]):
            raise InputError(f"{name} is shown and never gated (memtool list metrics)", field="limits")
    return Policy(tuple(dict.fromkeys(names)), margin, parsed, named=named)


def default_metrics() -> tuple[str, ...]:
    """Return the metrics that are compared by default."""
    return tuple(info.name for info in METRICS.values() if info.headline)


def parse_margin(text: str) -> float:
    """Return the share that a text such as ``2%`` means. Raises InputError with one line."""
    match = _PERCENT.fullmatch(text)
    if match is None or not 0 <= float(match[1]) < 1000:
        raise InputError(f"must be a percentage such as 2%, from 0% up, is '{text}'", field="margin")
    return float(match[1]) / 100


def parse_limit(text: str) -> tuple[str, Limit]:
    """Parse a limit such as ``allocate_p99_ns=10%`` or ``peak_footprint_bytes=0``. Raises InputError with one line."""
    name, equals, amount = (part.strip() for part in text.partition("="))
    if not equals:
        form = "METRIC=X, such as peak_footprint_bytes=0 or time_per_op_ns=3%"
        raise InputError(f"must be {form}, is '{text}'", field="limits")
    _refuse_unknown("limits", name)
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
    raise InputError(f"{name}: must be {known}, is '{amount}'", field="limits")


def _refuse_unknown(field: str, name: str) -> None:
    if name not in METRICS:
        meant = did_you_mean(name, METRICS) or "; memtool list metrics has all"
        raise InputError(f"unknown metric '{name}'{meant}", field=field)


def is_gated(info: MetricInfo) -> bool:
    """Return whether a metric can be gated."""
    return info.gated and info.direction != "neither"


def decides(name: str, rules: Policy) -> bool:
    """Return whether a metric is gated; one that only explains others is gated where the user names it."""
    return is_gated(METRICS[name]) and (not METRICS[name].is_cause or name in rules.named)


def limit_of(comparison: Comparison, rules: Policy) -> float:
    """Return the limit of a comparison: a share where it is a ratio, else in the metric's unit."""
    info = METRICS[comparison.metric]
    limit = rules.limits.get(comparison.metric)
    if limit is None:
        # Only for an allocator and its own baseline; two allocators differ, and the margin states by how much they may.
        is_own = comparison.basis is Basis.EXACT and info.scope == "events" and comparison.base == comparison.head
        share = 0.0 if is_own else _CODE_MARGIN if info.scope == "code" else rules.margin
        limit = Limit(share, is_share=True)
    base = abs(comparison.base_value or 0.0)
    if comparison.is_ratio:
        return limit.amount if limit.is_share else limit.amount / base
    amount = limit.amount if info.is_share or not limit.is_share else limit.amount * base
    return max(amount, comparison.resolution) if comparison.at_floor else amount
