"""What the error of the figures alone may make or hide."""

from __future__ import annotations

from memtool.model import Comparison
from memtool.stats.compare import in_terms_of_change
from memtool.units import format_size


def uncertain_range(comparison: Comparison, limit: float) -> tuple[float, float]:
    """Return between which changes figures do not say whether anything changed by more than the limit.

    What looks worse must be so whatever the error of both figures is. What does not is believed up to what the same
    allocator shows twice: otherwise nothing of less than 7 MiB would ever be found unchanged.
    """
    below, above = (
        in_terms_of_change(within, comparison) for within in (comparison.repeats_within, comparison.known_within)
    )
    return limit - below, limit + above


def is_uncertain(comparison: Comparison, limit: float) -> bool:
    """Return whether the change is one that the error of the figures alone may make or hide."""
    low, high = uncertain_range(comparison, limit)
    return comparison.known_within > 0 and comparison.change is not None and low < comparison.change <= high


def uncertainty_in_words(comparison: Comparison) -> str:
    """Return within how much the figures are known."""
    return f"resident memory is known within {format_size(comparison.known_within)}"
