"""The recommended next step after a verdict, as data; commands determine how it is typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from memtool.gate.uncertainty import is_uncertain
from memtool.measure.metrics import METRICS
from memtool.model import AGAIN, Basis, Comparison, Judgement, Mode, Verdict
from memtool.passes import Pass
from memtool.stats import paired
from memtool.stats.compare import STATUS
from memtool.stats.summary import LEAST_SAMPLES

_TIMES_OF_CODE = ("time_per_op_ns", "cpu_ns_per_op")
"""Times that instructions can replace where a machine is too noisy for them."""
_MANY_BLOCKS = 99
"""Number of blocks from which counting instructions is faster."""


class Action(StrEnum):
    """Kinds of next steps."""

    REPLAY = "replay the candidate once, to see it fail"
    LOOK = "measure both again and look at the figures"
    SIDE_BY_SIDE = "check both side by side"
    MORE_MEMORY = "take a workload that needs more memory, or allow more"
    MORE_BLOCKS = "take more blocks, or allow more"
    QUIETER_MACHINE = "use a quieter machine, or allow more"


@dataclass(frozen=True, slots=True)
class NextStep:
    """One step about one comparison."""

    action: Action
    comparison: Comparison
    blocks: int | None = None
    """Number of blocks, for MORE_BLOCKS."""
    counts_instead: bool = False
    """Whether counting instructions, which noise does not affect, is faster."""

    @property
    def measured_by(self) -> Pass:
        """Return the pass that measures the figure."""
        return METRICS[self.comparison.metric].measured_by

    @property
    def allocators(self) -> tuple[str, ...]:
        """Return the labels of the allocators concerned: one if it is compared with itself."""
        labels = (self.comparison.base, self.comparison.head)
        return tuple(dict.fromkeys(label.removesuffix(AGAIN) for label in labels))


Speller = Callable[[NextStep], str]
"""Returns a step as it is typed."""


def in_words(step: NextStep) -> str:
    """Return a step in plain words, for users without a command line."""
    blocks = f" ({step.blocks} blocks)" if step.blocks is not None else ""
    return f"{step.action}{blocks}"


def with_next_steps(judgements: Sequence[Judgement], spell: Speller = in_words) -> list[Judgement]:
    """Return the judgements with their next steps, as they are typed."""
    steps = ((judged, next_step(judged)) for judged in judgements)
    return [replace(judged, next_step="" if step is None else spell(step)) for judged, step in steps]


def next_step(judged: Judgement) -> NextStep | None:
    """Return the next step after a verdict; None: nothing."""
    comparison = judged.comparison
    if judged.verdict is Verdict.REGRESSION:
        return NextStep(Action.REPLAY if comparison.metric == STATUS else Action.LOOK, comparison)
    if judged.verdict is Verdict.ADVICE:
        return NextStep(Action.SIDE_BY_SIDE, comparison)
    if judged.verdict is not Verdict.INCONCLUSIVE or comparison.basis is not Basis.PAIRED:
        return None
    if comparison.samples < LEAST_SAMPLES:
        return NextStep(Action.SIDE_BY_SIDE, comparison)
    if judged.limit is not None and is_uncertain(comparison, judged.limit):
        return NextStep(Action.MORE_MEMORY, comparison)
    needed = judged.blocks_to_decide
    if needed is not None and needed <= comparison.samples:
        needed = 2 * comparison.samples + 1
    is_noisy = needed is None or needed > _MANY_BLOCKS
    counts = is_noisy and comparison.metric in _TIMES_OF_CODE and comparison.mode == Mode.SERIAL
    if needed is None or needed > paired.MOST_BLOCKS:
        return NextStep(Action.QUIETER_MACHINE, comparison, counts_instead=counts)
    return NextStep(Action.MORE_BLOCKS, comparison, blocks=needed, counts_instead=counts)
