"""Whole real programs, each run under every malloc that is compared (``memtool bench --program``)."""
