"""The fixture ``memtool_check``: a test with it fails when an allocator got worse, by the verdicts of `memtool check`.

pytest finds the fixture by the entry point ``pytest11``. memtool itself is imported only when a test calls it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def memtool_check(tmp_path: Path) -> Callable[..., Any]:
    """Return a function that measures, judges, and fails the test on a regression, or if nothing could be judged."""

    def check(
        workloads: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        against: str | None = None,
        candidate: str | None = None,
        baseline: str | os.PathLike[str] | None = None,
        metrics: Sequence[str] | None = None,
        margin: float | str = 0.02,
        limits: Sequence[str] = (),
        fail_on: str = "regression",
        **options: Any,  # noqa: ANN401  # of BenchOptions
    ) -> Any:  # noqa: ANN401  # of api, which is not imported yet
        """Return the result of `memtool check` (memtool.api.Checked); the test fails if the command would.

        Args:
            workloads: one or several files or names.
            against: the allocator that ``candidate`` is compared with, side by side.
            candidate: the allocator that is checked.
            baseline: instead of both, a file that ``memtool check --update`` wrote.
            metrics: the metrics to gate, as for ``--metric``.
            margin: as for ``--margin``.
            limits: as for ``--limit``, such as ``"time_per_op_ns=3%"``.
            fail_on: ``regression``, or ``inconclusive`` to fail on inconclusive verdicts too.
            options: further fields of memtool.api.BenchOptions: ``blocks``, ``seed``, ``passes`` ...
        """
        from memtool import api
        from memtool.check import DEFAULT_BLOCKS, CheckOptions
        from memtool.options import BenchOptions

        if (baseline is None) == (against is None or candidate is None):
            raise ValueError("takes a baseline, or against and candidate")
        several = [workloads] if isinstance(workloads, str | os.PathLike) else workloads
        fields: dict[str, Any] = {
            "blocks": DEFAULT_BLOCKS if baseline is None else 10,
            "draw_plots": False,
            "output": tmp_path / "memtool-check",
            "command": ("memtool_check",),
        } | options
        has_passes = "passes" in options
        check_options = CheckOptions(
            bench=BenchOptions(workloads=tuple(os.fspath(workload) for workload in several), **fields),
            rules=api.policy(metrics, margin, limits),
            baseline=None if baseline is None else Path(baseline),
            against=against,
            candidate=candidate,
            has_passes=has_passes,
        )
        checked = api.check(check_options)
        code = api.exit_code(checked.report, "inconclusive" if fail_on == "inconclusive" else "regression")
        if code:
            pytest.fail(api.render(checked.report), pytrace=False)
        return checked

    return check
