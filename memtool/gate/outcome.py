"""The outcome of verdicts: the exit code, the figures that could not be judged, and whether the blocks suffice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from memtool.errors import (
    EXIT_INCOMPARABLE,
    EXIT_INCONCLUSIVE,
    EXIT_OK,
    EXIT_REGRESSION,
    option,
    refuse_unknown,
)
from memtool.gate.looks import key_of
from memtool.gate.policy import Policy, decides
from memtool.measure.metrics import METRICS
from memtool.model import Basis, Judgement, Verdict
from memtool.stats import paired
from memtool.stats.compare import STATUS
from memtool.stats.summary import LEAST_SAMPLES

FailOn = Literal["regression", "inconclusive"]


def unjudged(judgements: Sequence[Judgement], rules: Policy) -> list[str]:
    """Return the figures that a gate had to judge and could not, in words: it must not pass in this case.

    A figure may be incomparable because the machine differs, as long as other figures of its cell decide.
    """
    lines = []
    cells: dict[tuple[str, ...], list[Judgement]] = {}
    for judgement in judgements:
        cells.setdefault(key_of(judgement.comparison)[:-1], []).append(judgement)
    for of_cell in cells.values():
        gated = [judgement for judgement in of_cell if judgement.verdict is not Verdict.SHOWN]
        lost = [judgement for judgement in gated if _is_lost(judgement)]
        if not lost and gated and all(judgement.verdict is Verdict.INCOMPARABLE for judgement in gated):
            lost = [judgement for judgement in gated if judgement.comparison.metric != STATUS][:1]
        lines += [_unjudged_line(judgement) for judgement in lost]
    judged = {judgement.comparison.metric for judgement in judgements}
    ran = any(judgement.comparison.metric != STATUS for judgement in judgements)
    missing = sorted(rules.named - judged) if ran else ()
    return lines + [f"{name}: nothing that was compared has a figure of it" for name in missing]


def _is_lost(judged: Judgement) -> bool:
    if judged.verdict is Verdict.INCOMPARABLE:
        return judged.comparison.is_required
    # Its second look did not take place.
    return judged.is_suspect and judged.first_look is None and judged.verdict is Verdict.INCONCLUSIVE


def _unjudged_line(judged: Judgement) -> str:
    comparison = judged.comparison
    against = "" if comparison.base == comparison.head else f" against {comparison.base}"
    metric = "" if comparison.metric == STATUS else f" · {comparison.metric}"
    return f"{comparison.workload} · {comparison.head}{against}{metric}: {judged.reason}"


def exit_code(judgements: Sequence[Judgement], fail_on: FailOn | None, unjudged: Sequence[str] = ()) -> int:
    """Return the exit code. With ``fail_on`` None, verdicts are only shown, and only their absence fails.

    ``unjudged``: figures that had to be judged and could not be. If there are any, nothing passes, but a regression
    remains one. Raises InputError for an unknown verdict.
    """
    if fail_on is not None:
        refuse_unknown(fail_on, get_args(FailOn), "verdict", "fail_on")
    # A figure that is never gated, and could not be compared either, does not count as a comparison.
    verdicts = {
        judgement.verdict
        for judgement in judgements
        if judgement.verdict is not Verdict.SHOWN or judgement.comparison.basis is not Basis.NONE
    }
    decided = {Verdict.REGRESSION, Verdict.PASS, Verdict.INCONCLUSIVE}
    if not verdicts & (decided if fail_on is not None else decided | {Verdict.ADVICE, Verdict.SHOWN}):
        return EXIT_INCOMPARABLE
    if fail_on is not None and Verdict.REGRESSION in verdicts:
        return EXIT_REGRESSION
    if fail_on is not None and unjudged:
        return EXIT_INCOMPARABLE
    if fail_on == "inconclusive" and Verdict.INCONCLUSIVE in verdicts:
        return EXIT_INCONCLUSIVE
    return EXIT_OK


@dataclass(frozen=True, slots=True)
class TooFewBlocks:
    """This many blocks cannot decide, however clear the figures are."""

    blocks: int
    needed: int
    family: int
    """Number of figures that share alpha."""

    def __str__(self) -> str:
        """Return why they cannot, and how many can; the option is marked."""
        blocks = f"{self.blocks} block{'' if self.blocks == 1 else 's'}"
        tests = "one figure" if self.family == 1 else f"{self.family:,} figures together"
        least = f"{option('blocks')} {self.needed}"
        return f"{blocks} cannot decide: a verdict on {tests} needs at least {least}, however clear the figures are"


def too_few_blocks(blocks: int, pairs: int, rules: Policy, *, looks: int) -> TooFewBlocks | None:
    """Return, before anything is measured, whether this many blocks cannot decide; None: they can.

    Args:
        blocks: number on each side.
        pairs: number of compared pairs of cells.
        rules: their sampled metrics count. Metrics that repeats will show to be exact count, too, so the number of
            blocks is conservative.
        looks: 2 if suspects are measured again.
    """
    sampled = [name for name in rules.metrics if decides(name, rules) and METRICS[name].scope == "job"]
    family = pairs * len(sampled)
    if not family:
        return None
    needed = max(LEAST_SAMPLES, paired.least_blocks(rules.alpha / looks / family))
    return TooFewBlocks(blocks, needed, family) if blocks < needed else None
