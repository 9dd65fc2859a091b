"""The formats in which results are written: commands offer them, and what renders a result takes no others."""

from __future__ import annotations

from collections.abc import Collection

from memtool.errors import InputError, did_you_mean

TEXTS = ("table", "markdown")
"""What is read by people, with headings and notes."""
FACTS = ("table", "json")
"""Of what is not a measurement: lists, inspections, recordings."""
RUN = (*TEXTS, "json", "csv")
SAMPLES = "samples"
"""A run's samples, as CSV."""
COMPARISON = (*TEXTS, "json", "junit", "github")
HISTORY = (*TEXTS, "json", "bencher", "customSmallerIsBetter", "customBiggerIsBetter")
MACHINES = (*TEXTS, "json")
PICTURES = ("png", "svg", "pdf")


def refuse_unknown(name: str, known: Collection[str]) -> None:
    """Raise InputError for a format that is not one of these."""
    if name not in known:
        words = f"unknown format '{name}' (known: {', '.join(known)}){did_you_mean(name, known)}"
        raise InputError(words, field="style")
