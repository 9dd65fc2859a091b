"""The check pass: every block is filled and read back, and a strategy's own invariants are verified. Never timed."""

from __future__ import annotations

from dataclasses import dataclass

from memtool.passes.declaration import CellSamples, Declaration, Figures, Measure, Phase, Summary, taken
from memtool.passes.layout import Layout


@dataclass(frozen=True, slots=True)
class Check(Figures):
    """The objects that are live before the epilogue, with a digest of their sizes that does not depend on the order."""

    checks: int
    """Number of times that the strategy's own invariants were verified."""
    surviving_objects: int
    surviving_size: int
    surviving_digest: int
    order_digest: int
    """Digest of all operations with their sizes, in order."""


LAYOUT = Layout.like(Check)


def summarise(samples: CellSamples) -> Summary:
    """Return the number of verifications of invariants, for the proof."""
    checks = [sample.figures.checks for sample in taken(samples.own, Check)]
    return Summary(proof={"invariants_checked": sum(checks)} if checks else {})


PASS = Declaration(
    name="check",
    phase=Phase.PROOF,
    usual=2.5,
    slower=10,
)
MEASURE = Measure(
    figures=Check,
    layout=LAYOUT,
    summarise=summarise,
)
