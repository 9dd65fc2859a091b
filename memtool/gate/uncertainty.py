"""The effects that the error of the figures alone can cause or hide."""

from __future__ import annotations

from memtool.model import Comparison
from memtool.stats.compare import in_terms_of_change
from memtool.units import format_size


def uncertain_range(comparison: Comparison, limit: float) -> tuple[float, float]:
    """Return the bounds between which figures cannot show whether the change exceeds the limit.

    A deterioration must exceed the errors of both figures. Otherwise a difference is accepted up to that of two repeats
    of the same allocator: if not, nothing of less than 7 MiB could ever be found unchanged.
    """
    below, above = (
        in_terms_of_change(within, comparison) for within in (comparison.repeats_within, comparison.known_within)
    )
    return limit - below, limit + above


def is_uncertain(comparison: Comparison, limit: float) -> bool:
    """Return whether the error of the figures alone may cause or hide the change."""
    low, high = uncertain_range(comparison, limit)
    return comparison.known_within > 0 and comparison.change is not None and low < comparison.change <= high


def uncertainty_in_words(comparison: Comparison) -> str:
    """Return the error of the figures."""
    return f"resident memory is known within {format_size(comparison.known_within)}"
