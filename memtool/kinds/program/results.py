"""The measurements of whole programs, and their presentation."""

from __future__ import annotations

from memtool.kinds.declaration import Results
from memtool.kinds.program.metrics import METRICS
from memtool.kinds.program.sheets import SHEETS
from memtool.kinds.program.words import heading, remarks
from memtool.passes import Pass, program

RESULTS = Results(
    measures={Pass.PROGRAM: program.MEASURE},
    metrics=METRICS,
    sheets=SHEETS,
    heading=heading,
    remarks=remarks,
    has_calls=False,
)
