"""Computes the metrics of a cell from its samples. Every formula is in docs/metrics.md, and its code in its pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from memtool.kinds import results
from memtool.measure.metrics import METRICS
from memtool.model import Cell, CellResult, Determinism, Metric, Status, TraceInfo
from memtool.passes import Clock, Pass, Sample
from memtool.passes.declaration import CellSamples, Figure
from memtool.stats import proof
from memtool.stats.noise import why_noisy
from memtool.stats.summary import median_interval

_MOST = 10**18
"""run.json has no larger figures: a heap of an exbibyte, or an operation of thirty years."""


def summarise_cell(
    cell: Cell,
    samples: Sequence[Sample],
    null_samples: Sequence[Sample],
    trace: TraceInfo,
    clock: Clock,
    *,
    exact_expected: bool,
    serial: Sequence[Sample] = (),
) -> CellResult:
    """Return the cell's metrics, with median and interval, from all its samples.

    ``null_samples`` are those of the null strategy in the same region: the cost of the harness, block by block.
    ``serial`` are those of the same allocator and events on one thread, for a cell with several threads.
    ``exact_expected`` states that footprints must not differ between repeats; a difference is noted as memtool's bug.
    """
    whole = CellSamples(samples, null_samples, serial, trace, clock, exact_expected)
    summaries = [measure.summarise(whole) for measure in results(trace.kind).measures.values()]
    uncounted = _uncounted(samples, null_samples)
    failed = next(
        (sample for sample in samples if sample.status is Status.FAILED and not (uncounted and sample.under)), None
    )
    noisy = why_noisy([sample for sample in samples if sample.status is Status.OK], null_samples)
    hosts = {(sample.run_pass, sample.block): sample.host for sample in samples if sample.host}
    metrics = {name: _metric(name, figure, hosts) for summary in summaries for name, figure in summary.figures.items()}
    impossible = next((name for name, metric in metrics.items() if not _is_figure(metric)), None)
    why_no_fault = _why_no_fault(failed, null_samples) if failed else None
    proven = proof.of_samples(samples)
    for summary in summaries:
        proven |= summary.proof
    extra = {"harness_fault": why_no_fault is not None, "noisy": noisy}
    return CellResult(
        cell=cell,
        status=Status.FAILED if failed or impossible else Status.OK,
        reason=_why_failed(failed, why_no_fault) if failed else _why_impossible(impossible),
        proof=proven | {name: value for name, value in extra.items() if value},
        metrics={name: metrics[name] for name in METRICS if name in metrics and _is_figure(metrics[name])},
        series={},
        notes=(
            *([f"{uncounted.run_pass.declared.instrument} were not counted: {uncounted.reason}"] if uncounted else ()),
            *(note for summary in summaries for note in summary.notes),
            *([f"noisy machine: {'; '.join(noisy)}"] if noisy else ()),
        ),
    )


def _uncounted(samples: Sequence[Sample], null_samples: Sequence[Sample]) -> Sample | None:
    """Return the sample that died only of its instrument: without it the cell runs, and so does the null strategy."""
    died = next((sample for sample in samples if sample.died and sample.under), None)
    return None if died is None or _dies(null_samples, died.run_pass) else died


def _dies(samples: Sequence[Sample], run_pass: Pass) -> bool:
    return any(sample.unanswered and sample.run_pass is run_pass for sample in samples)


def _why_no_fault(failed: Sample, null_samples: Sequence[Sample]) -> str | None:
    """Return in words that a failure says nothing about the allocator; None: it does."""
    if failed.unanswered and _dies(null_samples, failed.run_pass):
        return "no fault of the allocator: the null strategy fails in this pass too"
    return "no fault of the allocator" if failed.of_harness else None


def _why_failed(failed: Sample, why_no_fault: str | None) -> str:
    """Return in which sample a cell failed and why."""
    reason = f"{failed.run_pass} pass, block {failed.block}: {failed.reason}"
    return f"{reason} ({why_no_fault})" if why_no_fault else reason


def _why_impossible(name: str | None) -> str | None:
    if name is None:
        return None
    return f"{name} is more than there can be of anything: what the allocator says of itself is not true"


def _is_figure(metric: Metric) -> bool:
    return all(abs(figure) <= _MOST for figure in metric.samples)


def _metric(name: str, figure: Figure, hosts: Mapping[tuple[Pass, int], str]) -> Metric:
    """Return the metric of these (block, figure) pairs; it is not applicable where a figure is None.

    ``hosts``: the machine of each sample, if there are several.
    """
    known = [(block, float(value)) for block, value in figure.by_block if value is not None and math.isfinite(value)]
    samples = tuple(value for _, value in known)
    unit = METRICS[name].unit
    if not samples:
        return Metric(unit, Determinism.SAMPLED, (), (), None)
    low, high = median_interval(samples)
    blocks = tuple(block for block, _ in known)
    on = tuple(hosts.get((METRICS[name].measured_by, block), "") for block in blocks) if hosts else ()
    return Metric(unit, _determinism(name, samples), samples, blocks, median(samples), low, high, figure.at_floor, on)


def _determinism(name: str, samples: Sequence[float]) -> Determinism:
    """Exactness is shown by repeats that agree and never assumed; figures that the kernel counts are not exact."""
    same = METRICS[name].scope != "job" and len(samples) > 1 and len(set(samples)) == 1
    return Determinism.EXACT if same else Determinism.SAMPLED
