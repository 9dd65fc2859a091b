"""The report: a single self-contained page of HTML."""
