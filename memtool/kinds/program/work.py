"""Whole programs are named on the command line, not in workload files (memtool/programs)."""

from __future__ import annotations

WORK = None
