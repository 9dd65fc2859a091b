"""The figures of earlier runs for the same cells."""

from __future__ import annotations

from collections.abc import Sequence

from memtool.model import Past, Run


def history(runs: Sequence[tuple[str, Run]], of: Run, metrics: Sequence[str]) -> list[Past]:
    """Return the figures of a run's cells in (source, run) pairs and in the run itself, each in the order of time.

    A run that replayed other events under the same name is left out, because its figures are not comparable.
    """
    events = {info.name: info.event_hash for info in of.workloads}
    figures: list[Past] = []
    for cell in (result.cell for result in of.cells):
        for metric in metrics:
            for source, run in sorted(runs, key=lambda pair: pair[1].started):
                same = any(info.event_hash == events.get(cell.workload) for info in run.workloads)
                figure = next((result.metrics.get(metric) for result in run.cells if result.cell == cell), None)
                if same and figure is not None and figure.value is not None:
                    figures.append(Past(run.started, source, run.memtool, cell, metric, figure))
    return figures
