"""The formats in which results are written: commands offer them, and what renders a result takes no others."""

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
